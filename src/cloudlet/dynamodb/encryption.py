"""Keys of KMS that tables are said to be encrypted with.

A key must be there, be enabled and be the caller's to use when it is named; the table keeps its
ARN. Items lie in the data directory as those of other tables do: the key seals nothing of them.
See https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/EncryptionAtRest.html
"""

from dataclasses import replace
from typing import Any

from cloudlet.call import Call, Params
from cloudlet.dynamodb.numerics import invalid
from cloudlet.errors import AwsError
from cloudlet.policy.context import via

_WRONG = "One or more parameter values were invalid: "
_OWN_KEY = "alias/aws/dynamodb"
_KINDS = {"DisabledException": "disabled", "AccessDeniedException": "access denied"}


async def key_of(call: Call, params: Params) -> str | None:
    """The ARN of the key that SSESpecification asks for, None where it asks for none."""
    wanted = params.get("SSESpecification") or {}
    named, kind = wanted.get("KMSMasterKeyId"), wanted.get("SSEType")
    if not wanted.get("Enabled"):
        for member in ("SSEType", "KMSMasterKeyId"):
            if wanted.get(member) is not None:
                raise invalid(f"{_WRONG}{member} can not be specified if Enabled is false")
        return None
    if kind == "AES256":
        raise invalid(f"{_WRONG}SSEType AES256 is not supported")
    if named is not None and kind is None:
        raise invalid(f"{_WRONG}SSEType KMS is required if KMSMasterKeyId is specified")
    return await _checked(call, named or _OWN_KEY)


async def _checked(call: Call, named: str) -> str:
    caller = via(call.caller, "dynamodb.amazonaws.com")
    keys = {"kms:ViaService": f"dynamodb.{call.config.region}.amazonaws.com"}
    caller = replace(caller, context={**caller.context, **keys})
    try:
        found = await call.cloud.invoke("kms", "DescribeKey", {"KeyId": named}, caller)
    except AwsError as error:
        raise _refused(call, error.code, error.message) from error
    key: dict[str, Any] = found["KeyMetadata"]
    arn: str = key["Arn"]
    if key["KeyState"] == "PendingDeletion":
        raise _refused(call, "KMSInvalidStateException", f"{arn} is pending deletion.")
    if not key["Enabled"]:
        raise _refused(call, "DisabledException", f"{arn} is disabled.")
    return arn


def _refused(call: Call, code: str, message: str) -> AwsError:
    """dynamodb-061: KMS's own refusal, as DynamoDB's client of it prints it."""
    kind = f"KMS key {_KINDS[code]} error" if code in _KINDS else "KMS validation error"
    return invalid(
        f"{kind}: com.amazonaws.services.kms.model.{code}: {message} (Service: AWSKMS; Status Code:"
        f" 400; Error Code: {code}; Request ID: {call.request.id}; Proxy: null)"
    )


def change(document: dict[str, Any], params: Params, key_arn: str | None) -> bool:
    """UpdateTable's."""
    wanted = params.get("SSESpecification")
    if wanted is None:
        return False
    known = document.get("KeyArn")
    if key_arn is None and known is None:
        raise invalid(f"{_WRONG}Table is already encrypted by default")
    if known is not None and wanted.get("KMSMasterKeyId") == known:
        raise invalid(
            f"{_WRONG}Table is already encrypted with given KMSMasterKeyId. Use KMSMasterKeyId"
            " parameter if you want to change Master Key"
        )
    document["KeyArn"] = key_arn
    return True


def described(document: dict[str, Any]) -> dict[str, Any]:
    arn = document.get("KeyArn")
    if arn is None:
        return {}
    return {"SSEDescription": {"Status": "ENABLED", "SSEType": "KMS", "KMSMasterKeyArn": arn}}


def at_update(shown: dict[str, Any], before: dict[str, Any], params: Params) -> None:
    """dynamodb-062: a change is told as UPDATING, with the key that was."""
    if params.get("SSESpecification") is not None:
        shown["SSEDescription"] = before.get("SSEDescription", {}) | {"Status": "UPDATING"}
