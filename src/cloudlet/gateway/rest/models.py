"""Models beyond their storage: references between them, and templates made from them.

https://docs.aws.amazon.com/apigateway/latest/developerguide/models-mappings.html
"""

import json
import re
from typing import Any

from cloudlet.call import Call, Output
from cloudlet.gateway.rest import documents
from cloudlet.gateway.rest.documents import Document
from cloudlet.store.database import View

_REFERENCE = re.compile(r"https://apigateway\.amazonaws\.com/restapis/\w+/models/(\w+)")
_SAMPLES = {"string": '"foo"', "number": "42", "integer": "42", "boolean": "true"}
_DEPTH_MAX = 20


def get_model(call: Call, view: View) -> Output:
    model = documents.part(call, view, "model", call.params["modelName"])
    return {**model, "schema": flat(call, view, model)} if call.params.get("flatten") else model


def get_model_template(call: Call, view: View) -> Output:
    model = documents.part(call, view, "model", call.params["modelName"])
    schema = json.loads(flat(call, view, model))
    sample = _sample(schema, schema.get("definitions") or {}, 1)
    return {"value": f"#set($inputRoot = $input.path('$'))\n{sample}"}


def reference(api_id: str, name: str) -> str:
    return f"https://apigateway.amazonaws.com/restapis/{api_id}/models/{name}"


def referred(schema: str) -> list[str]:
    """The names of the models that a schema refers to."""
    return _REFERENCE.findall(schema)


def flat(call: Call, view: View, model: Document) -> str:
    """The schema with all it refers to as definitions of its own."""
    wanted, definitions = referred(model["schema"]), {}
    while wanted:
        name = wanted.pop()
        if name not in definitions:
            text = documents.part(call, view, "model", name)["schema"]
            wanted += referred(text)
            definitions[name] = json.loads(_local(text))
    schema = json.loads(_local(model["schema"]))
    if definitions:
        schema["definitions"] = {**(schema.get("definitions") or {}), **definitions}
    return json.dumps(schema)


def _local(schema: str) -> str:
    return _REFERENCE.sub(r"#/definitions/\1", schema)


def _sample(schema: Document, definitions: Document, depth: int) -> str:
    """JSON as the schema describes it, with made-up values."""
    if depth > _DEPTH_MAX:
        return "{}"
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    if name:
        return _sample(definitions.get(name) or {}, definitions, depth)
    kind: Any = schema.get("type")
    if kind == "array":
        return f"[ {_sample(schema.get('items') or {}, definitions, depth + 1)} ]"
    if kind in _SAMPLES:
        return _SAMPLES[kind]
    indent = "  " * depth
    members = [
        f"{indent}{json.dumps(key)} : {_sample(value, definitions, depth + 1)}"
        for key, value in (schema.get("properties") or {}).items()
    ]
    return "{\n" + ",\n".join(members) + "\n" + "  " * (depth - 1) + "}" if members else "{ }"
