"""CloudFront's cache, origin request and response headers policies, and origin access controls.

https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_Operations.html
"""

from dataclasses import dataclass

from cloudlet.call import Call, Output
from cloudlet.errors import AwsError, NotImplementedByCloudlet
from cloudlet.gateway import items, managed_policies
from cloudlet.gateway.items import Document, Item
from cloudlet.store.database import Transaction, View


@dataclass(frozen=True, slots=True)
class _Kind:
    key: str  # in the store, and in distributions' use of it
    noun: str  # in the API's names
    managed: dict[str, Document]
    has_time: bool = True


_CACHE = _Kind("cache-policy", "CachePolicy", managed_policies.CACHE)
_ORIGIN = _Kind("origin-request-policy", "OriginRequestPolicy", managed_policies.ORIGIN)
_RESPONSE = _Kind("response-headers-policy", "ResponseHeadersPolicy", managed_policies.RESPONSE)
_ACCESS = _Kind("origin-access-control", "OriginAccessControl", {}, has_time=False)


def create_cache_policy(call: Call, tx: Transaction) -> Output:
    return _create(call, tx, _CACHE)


def get_cache_policy(call: Call, view: View) -> Output:
    return _get(call, view, _CACHE)


def update_cache_policy(call: Call, tx: Transaction) -> Output:
    return _update(call, tx, _CACHE)


def delete_cache_policy(call: Call, tx: Transaction) -> None:
    _delete(call, tx, _CACHE)


def create_origin_request_policy(call: Call, tx: Transaction) -> Output:
    return _create(call, tx, _ORIGIN)


def get_origin_request_policy(call: Call, view: View) -> Output:
    return _get(call, view, _ORIGIN)


def update_origin_request_policy(call: Call, tx: Transaction) -> Output:
    return _update(call, tx, _ORIGIN)


def delete_origin_request_policy(call: Call, tx: Transaction) -> None:
    _delete(call, tx, _ORIGIN)


def create_response_headers_policy(call: Call, tx: Transaction) -> Output:
    _check_response_headers(call.params["ResponseHeadersPolicyConfig"])
    return _create(call, tx, _RESPONSE)


def get_response_headers_policy(call: Call, view: View) -> Output:
    return _get(call, view, _RESPONSE)


def update_response_headers_policy(call: Call, tx: Transaction) -> Output:
    _check_response_headers(call.params["ResponseHeadersPolicyConfig"])
    return _update(call, tx, _RESPONSE)


def delete_response_headers_policy(call: Call, tx: Transaction) -> None:
    _delete(call, tx, _RESPONSE)


def create_origin_access_control(call: Call, tx: Transaction) -> Output:
    _check_access_control(call.params["OriginAccessControlConfig"])
    return _create(call, tx, _ACCESS)


def get_origin_access_control(call: Call, view: View) -> Output:
    return _get(call, view, _ACCESS)


def get_origin_access_control_config(call: Call, view: View) -> Output:
    item = _item(view, _ACCESS, call.params["Id"])
    return {"OriginAccessControlConfig": item.document, "ETag": item.etag}


def update_origin_access_control(call: Call, tx: Transaction) -> Output:
    _check_access_control(call.params["OriginAccessControlConfig"])
    return _update(call, tx, _ACCESS)


def delete_origin_access_control(call: Call, tx: Transaction) -> None:
    _delete(call, tx, _ACCESS)


def list_origin_access_controls(call: Call, view: View) -> Output:
    found = [
        {"Id": item.id, "Description": "", **item.document}
        for item in items.every(view, _ACCESS.key)
    ]
    marker = call.params.get("Marker") or ""
    size = int(call.params.get("MaxItems") or 100)
    rest = sorted((o for o in found if o["Id"] > marker), key=lambda o: str(o["Id"]))
    page = rest[:size]
    output: Document = {
        "Marker": marker,
        "MaxItems": size,
        "IsTruncated": len(rest) > size,
        "Quantity": len(page),
        "Items": page,
    }
    if len(rest) > size:
        output["NextMarker"] = page[-1]["Id"]
    return {"OriginAccessControlList": output}


def document(view: View, kind: str, identifier: str) -> Document | None:
    """A policy's configuration, for the edge; managed ones included."""
    managed = {"cache-policy": _CACHE, "origin-request-policy": _ORIGIN}.get(kind, _RESPONSE)
    if identifier in managed.managed:
        return managed.managed[identifier]
    item = items.find(view, kind, identifier)
    return None if item is None else item.document


def _check_response_headers(config: Document) -> None:
    if (config.get("ServerTimingHeadersConfig") or {}).get("Enabled"):
        raise NotImplementedByCloudlet("ServerTimingHeadersConfig of a response headers policy")


def _check_access_control(config: Document) -> None:
    if config["OriginAccessControlOriginType"] != "s3":
        raise NotImplementedByCloudlet(
            f"An origin access control for {config['OriginAccessControlOriginType']}"
        )
    if config["SigningBehavior"] != "always":
        raise NotImplementedByCloudlet(f"SigningBehavior {config['SigningBehavior']}")


def _create(call: Call, tx: Transaction, kind: _Kind) -> Output:
    config = call.params[f"{kind.noun}Config"]
    _check_name(tx, kind, config["Name"], "")
    item = items.add(tx, kind.key, config, call.now_ms)
    location = f"https://cloudfront.amazonaws.com/2020-05-31/{kind.key}/{item.id}"
    return {**_answer(kind, item), "Location": location}


def _get(call: Call, view: View, kind: _Kind) -> Output:
    return _answer(kind, _item(view, kind, call.params["Id"]))


def _update(call: Call, tx: Transaction, kind: _Kind) -> Output:
    item = _own(tx, kind, call.params["Id"])
    items.check_etag(item, call.params.get("IfMatch"))
    config = call.params[f"{kind.noun}Config"]
    _check_name(tx, kind, config["Name"], item.id)
    item = items.change(tx, item, config, call.now_ms)
    _forget(call, tx)
    return _answer(kind, item)


def _delete(call: Call, tx: Transaction, kind: _Kind) -> None:
    item = _own(tx, kind, call.params["Id"])
    items.check_etag(item, call.params.get("IfMatch"))
    used = tx.value(
        "SELECT 1 FROM cloudfront_items WHERE kind = 'distribution' AND instr(document, ?)",
        (item.id,),
    )
    if used:
        raise AwsError(
            f"{kind.noun}InUse",
            f"Cannot delete the {kind.noun} because it is attached to a distribution.",
            409,
        )
    items.remove(tx, item)


def _forget(call: Call, tx: Transaction) -> None:
    forget = getattr(call.state, "forget_distributions", None)
    if forget is not None:
        tx.after_commit(forget)


def _check_name(view: View, kind: _Kind, name: str, own_id: str) -> None:
    for item in items.every(view, kind.key):
        if item.document["Name"] == name and item.id != own_id:
            raise AwsError(
                f"{kind.noun}AlreadyExists",
                f"A {kind.noun} with this name already exists in this account.",
                409,
            )


def _item(view: View, kind: _Kind, identifier: str) -> Item:
    if identifier in kind.managed:
        return Item(kind.key, identifier, "E23ZP02F085DFQ", 0, 0, kind.managed[identifier], {})
    return _own(view, kind, identifier)


def _own(view: View, kind: _Kind, identifier: str) -> Item:
    if identifier in kind.managed:
        raise AwsError("IllegalUpdate", "A managed policy cannot be changed.", 400)
    item = items.find(view, kind.key, identifier)
    if item is None:
        raise AwsError(f"NoSuch{kind.noun}", f"The {kind.noun} does not exist.", 404)
    return item


def _answer(kind: _Kind, item: Item) -> Output:
    body: Document = {"Id": item.id, f"{kind.noun}Config": item.document}
    if kind.has_time:
        body["LastModifiedTime"] = item.modified_ms / 1000
    return {kind.noun: body, "ETag": item.etag}
