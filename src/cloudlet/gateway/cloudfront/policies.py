"""CloudFront's cache, origin request and response headers policies, and origin access controls.

https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_Operations.html
"""

from collections.abc import Callable
from dataclasses import dataclass

from cloudlet.call import Call, Output
from cloudlet.errors import AwsError, NotImplementedByCloudlet
from cloudlet.gateway.cloudfront import items, managed_policies
from cloudlet.gateway.cloudfront.items import Document, Item
from cloudlet.store.database import Transaction, View
from cloudlet.wire.service import Operation, made


def _unchecked(config: Document) -> None:
    """Nothing but what the model of the API says."""


def _check_response_headers(config: Document) -> None:
    if (config.get("ServerTimingHeadersConfig") or {}).get("Enabled"):
        raise NotImplementedByCloudlet("ServerTimingHeadersConfig of a response headers policy")


_ACCESS_TO = ("s3", "lambda")


def _check_access_control(config: Document) -> None:
    kind = config["OriginAccessControlOriginType"]
    if kind not in _ACCESS_TO:
        raise NotImplementedByCloudlet(f"An origin access control for {kind}")


@dataclass(frozen=True, slots=True)
class Kind:
    key: str  # in the store, and in distributions' use of it
    noun: str  # in the API's names
    managed: dict[str, Document]
    check: Callable[[Document], None] = _unchecked
    has_time: bool = True

    def create(self, call: Call, tx: Transaction) -> Output:
        config = self._config(call, tx, "")
        item = items.add(tx, self.key, config, call.now_ms)
        location = f"https://cloudfront.amazonaws.com/2020-05-31/{self.key}/{item.id}"
        return {**self._answer(item), "Location": location}

    def get(self, call: Call, view: View) -> Output:
        return self._answer(self.item(view, call.params["Id"]))

    def update(self, call: Call, tx: Transaction) -> Output:
        item = self._own(tx, call.params["Id"])
        items.check_etag(item, call.params.get("IfMatch"))
        item = items.change(tx, item, self._config(call, tx, item.id), call.now_ms)
        items.changed(call, tx)
        return self._answer(item)

    def delete(self, call: Call, tx: Transaction) -> None:
        item = self._own(tx, call.params["Id"])
        items.check_etag(item, call.params.get("IfMatch"))
        used = tx.value(
            "SELECT 1 FROM cloudfront_items WHERE kind = 'distribution' AND instr(document, ?)",
            (item.id,),
        )
        if used:
            message = f"Cannot delete the {self.noun} because it is attached to a distribution."
            raise AwsError(f"{self.noun}InUse", message, 409)
        items.remove(tx, item)

    def operations(self) -> dict[str, Operation]:
        one = {"Create": self.create, "Get": self.get, "Update": self.update, "Delete": self.delete}
        return made(self.noun, **one)

    def _config(self, call: Call, view: View, own_id: str) -> Document:
        """What the call wants of it, checked."""
        config: Document = call.params[f"{self.noun}Config"]
        self.check(config)
        for item in items.every(view, self.key):
            if item.document["Name"] == config["Name"] and item.id != own_id:
                message = f"A {self.noun} with this name already exists in this account."
                raise AwsError(f"{self.noun}AlreadyExists", message, 409)
        return config

    def item(self, view: View, identifier: str) -> Item:
        if identifier in self.managed:
            return Item(self.key, identifier, "E23ZP02F085DFQ", 0, 0, self.managed[identifier], {})
        return self._own(view, identifier)

    def _own(self, view: View, identifier: str) -> Item:
        if identifier in self.managed:
            raise AwsError("IllegalUpdate", "A managed policy cannot be changed.")
        item = items.find(view, self.key, identifier)
        if item is None:
            raise AwsError(f"NoSuch{self.noun}", f"The {self.noun} does not exist.", 404)
        return item

    def _answer(self, item: Item) -> Output:
        body: Document = {"Id": item.id, f"{self.noun}Config": item.document}
        if self.has_time:
            body["LastModifiedTime"] = item.modified_ms / 1000
        return {self.noun: body, "ETag": item.etag}


CACHE = Kind("cache-policy", "CachePolicy", managed_policies.CACHE)
ORIGIN = Kind("origin-request-policy", "OriginRequestPolicy", managed_policies.ORIGIN)
RESPONSE = Kind(
    "response-headers-policy",
    "ResponseHeadersPolicy",
    managed_policies.RESPONSE,
    _check_response_headers,
)
ACCESS = Kind(
    "origin-access-control", "OriginAccessControl", {}, _check_access_control, has_time=False
)
KINDS = (CACHE, ORIGIN, RESPONSE, ACCESS)


def get_origin_access_control_config(call: Call, view: View) -> Output:
    item = ACCESS.item(view, call.params["Id"])
    return {"OriginAccessControlConfig": item.document, "ETag": item.etag}


def list_origin_access_controls(call: Call, view: View) -> Output:
    marker = call.params.get("Marker") or ""
    found = sorted(items.every(view, ACCESS.key), key=lambda item: item.id)
    entries = [{"Id": i.id, "Description": "", **i.document} for i in found if i.id >= marker]
    return {"OriginAccessControlList": items.page(entries, call.params)}


def document(view: View, kind: str, identifier: str) -> Document | None:
    """A policy's configuration, for the edge; managed ones included."""
    managed = next(each.managed for each in KINDS if each.key == kind)
    if identifier in managed:
        return managed[identifier]
    item = items.find(view, kind, identifier)
    return None if item is None else item.document
