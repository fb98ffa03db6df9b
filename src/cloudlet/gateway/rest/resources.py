"""The tree of resources of a REST API.

A resource's document holds its methods; answers show them only where `embed=methods` asks for it.
https://docs.aws.amazon.com/apigateway/latest/api/API_Resource.html
"""

from cloudlet.call import Call, Output
from cloudlet.errors import NotImplementedByCloudlet
from cloudlet.gateway.rest import checks, documents, patches
from cloudlet.gateway.rest.documents import Document, bad_request, new_id
from cloudlet.store.database import Transaction, View

RESOURCES_MAX = 300


def create_resource(call: Call, tx: Transaction) -> Output:
    api_id = call.params["restApiId"]
    parent = documents.part(call, tx, "resource", call.params["parentId"])
    found = documents.parts(tx, api_id, "resource")
    resource = new(parent, call.params["pathPart"], found)
    documents.save_part(tx, api_id, ("resource", resource["id"]), resource)
    return _shown(resource, False)


def new(parent: Document, part: str, found: list[Document]) -> Document:
    """A resource below `parent`; `found` is the whole tree."""
    checks.path_part(part)
    checks.sibling(part, parent, _children(found, parent["id"]))
    if len(found) >= RESOURCES_MAX:
        raise documents.limit_exceeded(
            "Maximum number of resources for this API has been reached. Please contact AWS if you"
            " need additional resources."
        )
    return {
        "id": new_id(6),
        "parentId": parent["id"],
        "pathPart": part,
        "path": f"{parent['path'].rstrip('/')}/{part}",
        "resourceMethods": {},
    }


def get_resource(call: Call, view: View) -> Output:
    resource = documents.part(call, view, "resource", call.params["resourceId"])
    return _shown(resource, _embeds(call))


def get_resources(call: Call, view: View) -> Output:
    api_id = documents.api(call, view)["id"]
    found = sorted(documents.parts(view, api_id, "resource"), key=lambda each: str(each["path"]))
    embeds = _embeds(call)
    return documents.page([_shown(resource, embeds) for resource in found], call.params)


def update_resource(call: Call, tx: Transaction) -> Output:
    """Renames a resource or moves it below another; its descendants' paths follow."""
    api_id = call.params["restApiId"]
    before = documents.part(call, tx, "resource", call.params["resourceId"])
    if "parentId" not in before:
        raise bad_request("Root resource cannot be updated")
    resource = patches.changed(call, "resource", before)
    parent = documents.part(call, tx, "resource", resource["parentId"])
    checks.path_part(resource["pathPart"])
    found = documents.parts(tx, api_id, "resource")
    if parent["id"] in {resource["id"], *(each["id"] for each in _below(found, resource["id"]))}:
        raise bad_request("A resource cannot be its own ancestor")
    others = [each for each in _children(found, parent["id"]) if each["id"] != resource["id"]]
    checks.sibling(resource["pathPart"], parent, others)
    resource["path"] = f"{parent['path'].rstrip('/')}/{resource['pathPart']}"
    documents.save_part(tx, api_id, ("resource", resource["id"]), resource)
    for each in _below(found, resource["id"]):
        each["path"] = resource["path"] + each["path"].removeprefix(before["path"])
        documents.save_part(tx, api_id, ("resource", each["id"]), each)
    return _shown(resource, False)


def delete_resource(call: Call, tx: Transaction) -> None:
    api_id = call.params["restApiId"]
    resource = documents.part(call, tx, "resource", call.params["resourceId"])
    if "parentId" not in resource:
        raise bad_request("Root resource cannot be deleted")
    for each in [resource, *_below(documents.parts(tx, api_id, "resource"), resource["id"])]:
        documents.delete_part(tx, api_id, "resource", each["id"])


def _children(found: list[Document], parent_id: str) -> list[Document]:
    return [each for each in found if each.get("parentId") == parent_id]


def _below(found: list[Document], ancestor_id: str) -> list[Document]:
    children = _children(found, ancestor_id)
    return children + [each for child in children for each in _below(found, child["id"])]


def _embeds(call: Call) -> bool:
    wanted = call.params.get("embed") or []
    if set(wanted) - {"methods"}:
        raise NotImplementedByCloudlet(f"embed={','.join(wanted)}")
    return bool(wanted)


def _shown(resource: Document, with_methods: bool) -> Document:
    methods = resource.get("resourceMethods") or {}
    shown = {**resource, "resourceMethods": methods or None}
    if not with_methods and methods:
        shown["resourceMethods"] = {name: {} for name in methods}
    return shown
