"""Tags of REST APIs, stages, API keys, usage plans and domain names, by ARN.

https://docs.aws.amazon.com/apigateway/latest/api/API_TagResource.html
"""

from collections.abc import Callable

from cloudlet.call import Call, Output
from cloudlet.gateway import domains
from cloudlet.gateway.rest import documents, keys
from cloudlet.gateway.rest.documents import Document, bad_request
from cloudlet.store.database import Transaction, View

Save = Callable[[Transaction, Document], None]
_TAGS_MAX = 50


def get_tags(call: Call, view: View) -> Output:
    owner, member, _ = _owner(call, view)
    return {"tags": owner.get(member) or {}}


def tag_resource(call: Call, tx: Transaction) -> None:
    owner, member, save = _owner(call, tx)
    owner[member] = {**(owner.get(member) or {}), **call.params["tags"]}
    if len(owner[member]) > _TAGS_MAX:
        raise documents.limit_exceeded(f"A resource can have at most {_TAGS_MAX} tags")
    save(tx, owner)


def untag_resource(call: Call, tx: Transaction) -> None:
    owner, member, save = _owner(call, tx)
    gone = set(call.params["tagKeys"])
    owner[member] = {k: v for k, v in (owner.get(member) or {}).items() if k not in gone}
    save(tx, owner)


def _owner(call: Call, view: View) -> tuple[Document, str, Save]:
    """(document, its member with the tags, how to save it) of what the ARN names."""
    now_ms = call.now_ms
    _, _, path = call.params["resourceArn"].partition("::/")
    match path.split("/"):
        case ["restapis", api_id]:
            api = documents.api(call, view, api_id)
            return api, "tags", lambda tx, owner: documents.save_api(tx, owner, now_ms)
        case ["restapis", api_id, "stages", name]:
            stage = documents.find_part(view, api_id, "stage", name)
            if stage is None:
                raise documents.not_found("stage")
            key = ("stage", name)
            return stage, "tags", lambda tx, own: documents.save_part(tx, api_id, key, own)
        case ["apikeys", key_id]:
            return keys.find(view, key_id), "tags", keys.save
        case ["usageplans", plan_id]:
            plan, place = documents.item(view, "usageplan", plan_id), ("usageplan", plan_id)
            return plan, "tags", lambda tx, own: documents.save_item(tx, place, own, now_ms)
        case ["domainnames", name]:
            return domains.find(view, name), "Tags", lambda tx, own: domains.save(tx, own, now_ms)
    raise bad_request("Invalid resource ARN")
