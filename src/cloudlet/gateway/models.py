"""Models of WebSocket APIs: JSON schemas that the messages of a route must fit.

HTTP APIs keep models, too, for their documents' sake; nothing is checked against them, as on AWS.
https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-request-validation.html
"""

import re
from functools import lru_cache
from typing import Any

import orjson

from cloudlet.call import Call, Output
from cloudlet.errors import AwsError
from cloudlet.gateway import configuration
from cloudlet.gateway.configuration import Document, bad_request, new_id
from cloudlet.store.database import Transaction, View

_NAME = re.compile(r"[A-Za-z0-9]{1,128}")


def create_model(call: Call, tx: Transaction) -> Output:
    return _save(call, tx, {"ModelId": new_id(6), "ContentType": "application/json"})


def get_model(call: Call, view: View) -> Output:
    return configuration.part(view, call.params["ApiId"], "model", call.params["ModelId"])


def get_models(call: Call, view: View) -> Output:
    configuration.api(view, call.params["ApiId"])
    return configuration.page(configuration.parts(view, call.params["ApiId"], "model"), call.params)


def update_model(call: Call, tx: Transaction) -> Output:
    return _save(call, tx, get_model(call, tx))


def delete_model(call: Call, tx: Transaction) -> None:
    api_id, model = call.params["ApiId"], get_model(call, tx)
    for route in configuration.parts(tx, api_id, "route"):
        if model["Name"] in (route.get("RequestModels") or {}).values():
            message = f"Cannot delete model '{model['Name']}'. It is referenced by a route."
            raise AwsError("ConflictException", message, 409)
    configuration.delete_part(tx, api_id, "model", model["ModelId"])
    configuration.changed(call, tx, api_id)


def check_route(view: View, api_id: str, route: Document) -> None:
    """A route's models must be there."""
    names = {model["Name"] for model in configuration.parts(view, api_id, "model")}
    for name in (route.get("RequestModels") or {}).values():
        if name not in names:
            raise bad_request(f"Invalid model identifier specified: {name}")


def fits(schema: str, data: str | bytes) -> bool:
    """Whether a message is JSON, and as the schema wants it."""
    try:
        return bool(_validator(schema).is_valid(orjson.loads(data)))
    except (ValueError, RecursionError):
        return False


@lru_cache(maxsize=256)
def _validator(schema: str) -> Any:
    from jsonschema import Draft4Validator

    return Draft4Validator(orjson.loads(schema))


def _save(call: Call, tx: Transaction, document: Document) -> Output:
    api_id = call.params["ApiId"]
    for name in ("ContentType", "Description", "Name", "Schema"):
        if call.params.get(name) is not None:
            document[name] = call.params[name]
    if not _NAME.fullmatch(document["Name"]):
        raise bad_request(f"Model name must be alphanumeric: {document['Name']}")
    for other in configuration.parts(tx, api_id, "model"):
        if other["Name"] == document["Name"] and other["ModelId"] != document["ModelId"]:
            message = f"Model with name {document['Name']} already exists"
            raise AwsError("ConflictException", message, 409)
    _check_schema(document["Schema"])
    configuration.save_part(tx, api_id, ("model", document["ModelId"]), document)
    configuration.changed(call, tx, api_id)
    return document


def _check_schema(schema: str) -> None:
    from jsonschema import Draft4Validator, SchemaError

    try:
        Draft4Validator.check_schema(orjson.loads(schema))
    except (ValueError, SchemaError) as error:
        raise bad_request(f"Invalid model schema specified: {error}") from None
