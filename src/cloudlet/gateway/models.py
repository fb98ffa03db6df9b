"""Models of WebSocket APIs: JSON schemas that the messages of a route must fit.

HTTP APIs keep models, too, for their documents' sake; nothing is checked against them, as on AWS.
https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-request-validation.html
"""

import json
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import orjson

from cloudlet.call import Call
from cloudlet.gateway import configuration
from cloudlet.gateway.api_parts import Part
from cloudlet.gateway.configuration import Document, bad_request, chosen, conflict, new_id
from cloudlet.policy import regexes
from cloudlet.store.database import Transaction, View

_NAME = re.compile(r"[A-Za-z0-9]{1,128}")


def _free(call: Call, tx: Transaction, identifier: str) -> None:
    api_id = call.params["ApiId"]
    name = configuration.part(tx, api_id, "model", identifier)["Name"]
    for route in configuration.parts(tx, api_id, "route"):
        if name in (route.get("RequestModels") or {}).values():
            raise conflict(f"Cannot delete model '{name}'. It is referenced by a route.")


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
    return validators()(orjson.loads(schema))


@lru_cache(maxsize=1)
def validators() -> Any:
    """The class of validators, loaded when the first is made."""
    import jsonschema

    changed = {"uniqueItems": _unique_items}
    return jsonschema.validators.extend(jsonschema.Draft4Validator, changed)


def _unique_items(validator: Any, wanted: bool, instance: Any, schema: Any) -> Iterator[Any]:
    """The package compares each with each."""
    from jsonschema import ValidationError

    if wanted and validator.is_type(instance, "array"):
        texts = {json.dumps(item, sort_keys=True) for item in instance}
        if len(texts) < len(instance):
            yield ValidationError("array has non-unique elements")


def check_patterns(schema: Any) -> None:
    """Raises re.error for those that bodies might make run for long."""
    if isinstance(schema, list):
        schema = dict(enumerate(schema))
    if not isinstance(schema, dict):
        return
    named = schema.get("patternProperties")
    for pattern in (schema.get("pattern"), *(named if isinstance(named, dict) else ())):
        if isinstance(pattern, str):
            regexes.compiled(pattern)
    for part in schema.values():
        check_patterns(part)


def _save(call: Call, tx: Transaction, before: Document | None) -> Document:
    api_id = call.params["ApiId"]
    document = before or {"ModelId": new_id(6), "ContentType": "application/json"}
    document |= chosen(call.params, "ContentType Description Name Schema")
    if not _NAME.fullmatch(document["Name"]):
        raise bad_request(f"Model name must be alphanumeric: {document['Name']}")
    for other in configuration.parts(tx, api_id, "model"):
        if other["Name"] == document["Name"] and other["ModelId"] != document["ModelId"]:
            raise conflict(f"Model with name {document['Name']} already exists")
    _check_schema(document["Schema"])
    configuration.save_part(tx, api_id, ("model", document["ModelId"]), document)
    configuration.changed(call, tx, api_id)
    return document


def _check_schema(schema: str) -> None:
    from jsonschema import Draft4Validator, SchemaError

    try:
        document = orjson.loads(schema)
        Draft4Validator.check_schema(document)
        check_patterns(document)
    except (ValueError, SchemaError, re.error) as error:
        raise bad_request(f"Invalid model schema specified: {error}") from None


PART = Part("Model", _save, _free)
