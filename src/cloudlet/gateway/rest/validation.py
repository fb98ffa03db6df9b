"""Request validators: required parameters, and bodies against models (JSON Schema draft 4).

https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-method-request-validation.html
"""

import re
from itertools import islice
from typing import Any

import orjson

from cloudlet.gateway.models import check_patterns, validators
from cloudlet.gateway.rest import models
from cloudlet.gateway.rest.compiled import Served
from cloudlet.gateway.rest.faults import Fault, misconfigured
from cloudlet.gateway.rest.passage import Passage

_ERRORS_MAX = 20
_TOLD_MAX = 1000
_VALUES_MAX = 100_000  # validating takes some 20 µs each
THREAD_BYTES = 16 * 1024  # a larger body is better validated in a thread


def check(passage: Passage) -> None:
    """Raises Fault BAD_REQUEST_PARAMETERS or BAD_REQUEST_BODY."""
    identifier = passage.method.document.get("requestValidatorId")
    validator = (passage.served.snapshot.get("validators") or {}).get(identifier)
    if validator is None:
        return
    if validator.get("validateRequestParameters"):
        missing = _missing(passage)
        if missing:
            message = f"Missing required request parameters: [{', '.join(missing)}]"
            raise Fault("BAD_REQUEST_PARAMETERS", message)
    if validator.get("validateRequestBody"):
        model = _model_of(passage)
        if model:
            _check_body(passage, model)


def _missing(passage: Passage) -> list[str]:
    missing = []
    for source, is_required in sorted(
        (passage.method.document.get("requestParameters") or {}).items()
    ):
        place, _, name = source.removeprefix("method.request.").partition(".")
        places: dict[str, Any] = {
            "header": passage.headers,
            "querystring": passage.query,
            "path": passage.path_parameters,
        }
        if is_required and not places[place.removeprefix("multivalue")].get(name):
            missing.append(name)
    return missing


def _model_of(passage: Passage) -> str | None:
    """The model for the content type; where there is none, the body is not looked at."""
    content_type = passage.request.headers.get("content-type") or "application/json"
    known = passage.method.models
    return known.get(content_type.split(";")[0].strip().lower()) or known.get("$default")


def _check_body(passage: Passage, model: str) -> None:
    if passage.body.count(b",") > _VALUES_MAX:
        raise Fault("BAD_REQUEST_BODY", detail="[The body has too many values]")
    try:
        document = orjson.loads(passage.body) if passage.body else {}
    except ValueError:
        raise Fault("BAD_REQUEST_BODY", detail="[Invalid JSON in request body]") from None
    validator = _validator(passage.served, model)
    from referencing.exceptions import Unresolvable

    try:
        errors = list(islice(validator.iter_errors(document), _ERRORS_MAX))
    except RecursionError:
        raise Fault("BAD_REQUEST_BODY", detail="[The body is nested too deep]") from None
    except Unresolvable as error:
        raise misconfigured(f"Unresolvable reference in a model: {error}") from None
    if errors:
        raise Fault("BAD_REQUEST_BODY", detail=f"[{', '.join(map(_told, errors))}]")


def _validator(served: Served, model: str) -> Any:
    """Compiled once per stage; the package is loaded when the first body is validated."""
    known = served.models.get(model)
    if known is None:
        from referencing import Registry
        from referencing.jsonschema import DRAFT4

        registry: Any = Registry()
        schemas = {}
        for name, document in (served.snapshot.get("models") or {}).items():
            schemas[name] = _schema(document)
            uri = models.reference(served.api_id, name)
            registry = registry.with_resource(uri, DRAFT4.create_resource(schemas[name]))
        if model not in schemas:
            raise misconfigured(f"There is no model {model}")
        known = served.models[model] = validators()(schemas[model], registry=registry)
    return known


def _schema(document: dict[str, Any]) -> Any:
    try:
        schema = orjson.loads(document.get("schema") or "{}")
        check_patterns(schema)
    except ValueError:
        raise misconfigured(f"The schema of model {document.get('name')} is not JSON") from None
    except re.error as error:
        raise misconfigured(f"A pattern of model {document.get('name')}: {error}") from None
    return schema


def _told(error: Any) -> str:
    """In the words of AWS's validator, for the commonest errors."""
    if error.validator == "required":
        lacking = sorted(set(error.validator_value) - set(error.instance))
        names = ",".join(f'"{name}"' for name in lacking)
        return f"object has missing required properties ([{names}])"
    return str(error.message)[:_TOLD_MAX]
