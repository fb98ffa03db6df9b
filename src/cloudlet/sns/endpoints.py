"""Mobile push: platform applications, and the devices that are registered with them.

Nothing leaves this machine: credentials are kept, sealed, and never used; `recording` shows what
would be sent. https://docs.aws.amazon.com/sns/latest/dg/sns-mobile-application-as-subscriber.html
"""

import re
from dataclasses import dataclass
from typing import Any

import orjson

from cloudlet.call import Call, Output
from cloudlet.errors import refuse
from cloudlet.sns import topics
from cloudlet.sns.faults import invalid, missing
from cloudlet.store.database import Row, Transaction, View
from cloudlet.store.sealing import Wrapper

PLATFORMS = ("ADM", "APNS", "APNS_SANDBOX", "APNS_VOIP", "APNS_VOIP_SANDBOX", "BAIDU", "FCM", "GCM",
             "MACOS", "MACOS_SANDBOX", "MPNS", "WNS")  # fmt: skip
_NAME = re.compile(r"[\w.-]+", re.ASCII)
_ONE_SECRET = ("FCM", "GCM")  # an API key alone
_SECRET = ("PlatformCredential", "PlatformPrincipal")
_APPLICATION = (
    *_SECRET, "SuccessFeedbackRoleArn", "FailureFeedbackRoleArn", "SuccessFeedbackSampleRate",
    "ApplePlatformTeamID", "ApplePlatformBundleID",
)  # fmt: skip
_EVENTS = (
    "EventEndpointCreated", "EventEndpointDeleted", "EventEndpointUpdated", "EventDeliveryFailure",
)  # fmt: skip
_ENDPOINT = ("CustomUserData", "Enabled", "Token")
_USER_DATA_BYTES_MAX = 2048


@dataclass(frozen=True, slots=True)
class Endpoint:
    id: str  # GCM/chat/<uuid>
    application: str
    token: str
    attributes: dict[str, str]

    @classmethod
    def of(cls, row: Row) -> "Endpoint":
        attributes = orjson.loads(row["attributes"])
        return cls(row["id"], row["application"], row["token"], attributes)

    @property
    def platform(self) -> str:
        return self.id.partition("/")[0]

    @property
    def shown(self) -> dict[str, str]:
        return {"Enabled": "true", **self.attributes, "Token": self.token}

    def payload(self, text: str) -> Any:
        """What the platform's service would get: a document, or a text in the platform's."""
        try:
            document = orjson.loads(text)
        except orjson.JSONDecodeError:
            document = None
        if isinstance(document, dict):
            return document
        if self.platform.startswith(("APNS", "MACOS")):
            return {"aps": {"alert": text}}
        return {"data": {"default": text}}


def find(view: View, endpoint_id: str) -> Endpoint | None:
    row = view.one("SELECT * FROM platform_endpoints WHERE id = ?", (endpoint_id,))
    return None if row is None else Endpoint.of(row)


def create_platform_application(call: Call, tx: Transaction) -> Output:
    name, platform = call.params["Name"], call.params["Platform"]
    if platform not in PLATFORMS:
        raise invalid(f"Platform Reason: {platform} is not supported")
    if wrong := _wrong_name(name):
        raise invalid(f"{name} Reason: {wrong}")
    attributes = _checked(call.params.get("Attributes"), _APPLICATION)
    given = [each for each in _SECRET if attributes.get(each)]
    if "PlatformCredential" not in given or (len(given) < 2 and platform not in _ONE_SECRET):
        lacking = [each for each in _SECRET if each not in given]
        both = (given or lacking)[0], lacking[0]
        raise invalid(f"Attributes Reason: {both[0]} attribute provided without {both[1]}")
    tx.run(
        "INSERT INTO platform_applications (name, attributes, secret) VALUES (?, ?, ?)"
        " ON CONFLICT (name) DO UPDATE SET attributes = excluded.attributes,"
        " secret = excluded.secret",
        (f"{platform}/{name}", *_kept(call, attributes)),
    )
    return {"PlatformApplicationArn": call.config.arn("sns", f"app/{platform}/{name}")}


def get_platform_application_attributes(call: Call, view: View) -> Output:
    return {"Attributes": _shown(_application(call, view)[1])}


def set_platform_application_attributes(call: Call, tx: Transaction) -> None:
    name, attributes = _application(call, tx)
    attributes |= _checked(call.params["Attributes"], _APPLICATION)
    tx.run("UPDATE platform_applications SET attributes = ?, secret = ? WHERE name = ?",
           (*_kept(call, attributes), name))  # fmt: skip


def delete_platform_application(call: Call, tx: Transaction) -> None:
    tx.run("DELETE FROM platform_applications WHERE name = ?",
           (_resource(call, "PlatformApplicationArn", "app/"),))  # fmt: skip


def list_platform_applications(call: Call, view: View) -> Output:
    sql = "SELECT name AS id, attributes FROM platform_applications WHERE name > ? ORDER BY name"
    rows, token = topics.page(call, view, sql)
    listed = [
        {
            "PlatformApplicationArn": call.config.arn("sns", f"app/{row['id']}"),
            "Attributes": _shown(orjson.loads(row["attributes"])),
        }
        for row in rows
    ]
    return {"PlatformApplications": listed, "NextToken": token}


def create_platform_endpoint(call: Call, tx: Transaction) -> Output:
    """The same token with the same attributes answers the endpoint that is there."""
    application, _ = _application(call, tx)
    token, params = call.params["Token"], call.params
    attributes = _checked(params.get("Attributes"), ("CustomUserData", "Enabled"))
    if params.get("CustomUserData"):
        attributes["CustomUserData"] = params["CustomUserData"]
    _check_endpoint(token, attributes)
    row = tx.one("SELECT * FROM platform_endpoints WHERE application = ? AND token = ?",
                 (application, token))  # fmt: skip
    if row is not None:
        arn = call.config.arn("sns", f"endpoint/{row['id']}")
        if {"Enabled": "true", **attributes, "Token": token} != Endpoint.of(row).shown:
            raise invalid(f"Token Reason: Endpoint {arn} already exists with the same Token, but"
                          " different attributes.")  # fmt: skip
        return {"EndpointArn": arn}
    endpoint_id = f"{application}/{call.config.new_id()}"
    tx.run(
        "INSERT INTO platform_endpoints (id, application, token, attributes) VALUES (?, ?, ?, ?)",
        (endpoint_id, application, token, _text(attributes)),
    )
    return {"EndpointArn": call.config.arn("sns", f"endpoint/{endpoint_id}")}


def get_endpoint_attributes(call: Call, view: View) -> Output:
    return {"Attributes": _endpoint(call, view).shown}


def set_endpoint_attributes(call: Call, tx: Transaction) -> None:
    endpoint = _endpoint(call, tx)
    wanted = {**endpoint.shown, **_checked(call.params["Attributes"], _ENDPOINT)}
    token = wanted.pop("Token")
    _check_endpoint(token, wanted)
    other = tx.value("SELECT id FROM platform_endpoints WHERE application = ? AND token = ?",
                     (endpoint.application, token))  # fmt: skip
    if other not in (None, endpoint.id):
        raise invalid("Token Reason: Another endpoint of the application has this Token")
    tx.run("UPDATE platform_endpoints SET token = ?, attributes = ? WHERE id = ?",
           (token, _text(wanted), endpoint.id))  # fmt: skip


def delete_endpoint(call: Call, tx: Transaction) -> None:
    """Its subscriptions stay, as on AWS: what they get fails."""
    tx.run("DELETE FROM platform_endpoints WHERE id = ?",
           (_resource(call, "EndpointArn", "endpoint/"),))  # fmt: skip


def list_endpoints_by_platform_application(call: Call, view: View) -> Output:
    application, _ = _application(call, view)
    sql = "SELECT * FROM platform_endpoints WHERE application = ? AND id > ? ORDER BY id"
    rows, token = topics.page(call, view, sql, (application,))
    listed = [
        {
            "EndpointArn": call.config.arn("sns", f"endpoint/{row['id']}"),
            "Attributes": Endpoint.of(row).shown,
        }
        for row in rows
    ]
    return {"Endpoints": listed, "NextToken": token}


def _application(call: Call, view: View) -> tuple[str, dict[str, str]]:
    name = _resource(call, "PlatformApplicationArn", "app/")
    row = view.one("SELECT * FROM platform_applications WHERE name = ?", (name,))
    if row is None:
        raise missing("PlatformApplication")
    secret = _wrapper(call).open(row["secret"]) if row["secret"] else b"{}"  # none: an older one's
    return name, {**orjson.loads(row["attributes"]), **orjson.loads(secret)}


def _kept(call: Call, attributes: dict[str, str]) -> tuple[str, bytes]:
    secret = {name: attributes[name] for name in _SECRET if name in attributes}
    return _text(_public(attributes)), _wrapper(call).seal(orjson.dumps(secret))


def _wrapper(call: Call) -> Wrapper:
    return call.cloud.blobs.master.derived("platform-applications")


def _endpoint(call: Call, view: View) -> Endpoint:
    found = find(view, _resource(call, "EndpointArn", "endpoint/"))
    if found is None:
        raise missing("Endpoint")
    return found


def _resource(call: Call, member: str, kind: str) -> str:
    arn = str(call.params[member])
    parts = arn.split(":", 5)
    if len(parts) < 6:
        raise invalid(f"{member} Reason: An ARN must have at least 6 elements, not {len(parts)}")
    slashes = 3 if kind == "endpoint/" else 2
    if parts[:3] != ["arn", "aws", "sns"] or not parts[5].startswith(kind):
        raise invalid(f"{member} Reason: {arn} is not of the expected form")
    if parts[5].count("/") != slashes:
        raise invalid(f"{member} Reason: Wrong number of slashes in relative portion of the ARN.")
    return parts[5].removeprefix(kind) if parts[3:5] == topics.own(call.config) else ""


def _checked(attributes: Any, allowed: tuple[str, ...]) -> dict[str, str]:
    given = {name: str(value) for name, value in (attributes or {}).items()}
    refuse(given, *_EVENTS, what="The attribute {} of a platform application")
    if unknown := given.keys() - set(allowed):
        raise invalid(f"Attributes Reason: Invalid attribute name: {min(unknown)}")
    return given


def _check_endpoint(token: str, attributes: dict[str, str]) -> None:
    if not token:
        raise invalid("Token Reason: must not be empty")
    if len(attributes.get("CustomUserData", "").encode()) > _USER_DATA_BYTES_MAX:
        raise invalid(
            "Attributes Reason: Invalid value for attribute: CustomUserData: must be at most 2048"
            " bytes long in UTF-8 encoding"
        )
    if "Enabled" in attributes:
        attributes["Enabled"] = attributes["Enabled"].lower()
        if attributes["Enabled"] not in ("true", "false"):
            raise invalid("Attributes Reason: Invalid value for attribute: Enabled: must be true or"
                          " false")  # fmt: skip


def _wrong_name(name: str) -> str:
    if not name:
        return "cannot be empty"
    if len(name) > 256:
        return "must be at most 256 characters long"
    allowed = "'a'-'z', 'A'-'Z', '0'-'9', '_', '-', and '.'"
    return "" if _NAME.fullmatch(name) else f"must contain only characters {allowed}"


def _shown(attributes: dict[str, str]) -> dict[str, str]:
    return {"Enabled": "true", **_public(attributes)}


def _public(attributes: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in attributes.items() if name not in _SECRET}


def _text(value: Any) -> str:
    return orjson.dumps(value).decode()
