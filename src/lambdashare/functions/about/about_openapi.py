"""The OpenAPI 3.1 description of everything under `/v1` and of the paths beside it.

A test compares it with the template's routes; `docs/api.md` says the same for people.
https://spec.openapis.org/oas/v3.1.1.html
"""

from typing import Any

from about_schemas import SCHEMAS

Part = dict[str, Any]


def document() -> Part:
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "λShare",
            "version": "1",
            "summary": "Temporary file sharing in which a file's hash sum is its address.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": _paths(),
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {
                "owner": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The owner_token that creating the share answered.",
                }
            },
        },
    }


def _paths() -> dict[str, Part]:
    share = [_parameter("id", "^[0-9A-Za-z]{22}$")]
    file = [*share, _parameter("n", "^[1-9][0-9]{0,4}$")]
    digest = [_parameter("digest")]
    files = "/v1/shares/{id}/files/{n}"
    gone = (404, 410)
    return {
        "/v1/openapi.json": {"get": _operation("This document", _ok("object"))},
        "/v1/shares": {
            "post": _operation(
                "Make a share and plan its uploads",
                _ok("NewShareAnswer", 201),
                (400, 413, 422),
                body="NewShare",
            )
        },
        "/v1/shares/{id}": {
            "parameters": share,
            "get": _operation("Show a share", _ok("Share"), gone),
            "patch": _owned(
                "Change expiry, limit or listing", _ok("Share"), (400, *gone, 409, 422), "Changes"
            ),
            "delete": _owned("Delete now", {"204": {"description": "Gone"}}, (404,)),
        },
        f"{files}/parts": {
            "parameters": file,
            "post": _owned("Sign URLs of parts", _ok("Urls"), (400, *gone, 409, 422), "Parts"),
            "get": _owned("Parts that S3 has", _ok("PartsDone"), (400, *gone))
            | {"parameters": [_query("after", {"type": "integer", "minimum": 0})]},
        },
        f"{files}/complete": {
            "parameters": file,
            "post": _owned("Complete", _ok("File"), (400, *gone, 409, 422), "Completion"),
        },
        f"{files}/digest": {
            "parameters": file,
            "post": _owned("The sender's sum", _ok("File"), (400, *gone, 409, 422), "Sha256"),
        },
        f"{files}/verifications": {
            "parameters": file,
            "post": _operation(
                "A recipient's sum", _ok("Match"), (400, *gone, 409, 422), body="Sha256"
            ),
        },
        "/v1/hashes/{digest}": {
            "parameters": digest,
            "get": _operation("Find files by a sum", _ok("Found"), (400, *gone, 409)),
        },
        "/v1/stats": {
            "get": _operation("Counters", _ok("Stats"), (400,))
            | {"parameters": [_query("range", {"enum": ["hour", "day", "month"]})]}
        },
        "/s/{id}": {"parameters": share, **_page("A share's page", "Share", gone)},
        "/s/{id}/{n}": {"parameters": file, **_download(gone)},
        "/s/{id}/{n}/{name}": {
            "parameters": [*file, _parameter("name")],
            **_download(gone),
        },
        "/h/{digest}": {
            "parameters": digest,
            **_page("Files with a sum", "Found", (400, *gone, 409)),
        },
        "/{name}": {
            "parameters": [_parameter("name")],
            "put": _operation("Upload with curl -LT", _redirect(307), (413, 422)),
        },
    }


def _operation(summary: str, answers: Part, problems: tuple[int, ...] = (), body: str = "") -> Part:
    refused = {"$ref": "#/components/schemas/Problem"}
    failures = {
        str(status): {
            "description": SCHEMAS["Problem"]["x-statuses"][str(status)],
            "content": {"application/problem+json": {"schema": refused}},
        }
        for status in problems
    }
    operation: Part = {"summary": summary, "responses": answers | failures}
    if body:
        operation["requestBody"] = {"required": True, "content": _json(body)}
    return operation


def _owned(summary: str, answers: Part, problems: tuple[int, ...] = (), body: str = "") -> Part:
    operation = _operation(summary, answers, (401, 403, *problems), body)
    return operation | {"security": [{"owner": []}]}


def _page(summary: str, schema: str, problems: tuple[int, ...]) -> Part:
    answers = _ok(schema)
    answers["200"]["content"]["text/html"] = {"schema": {"type": "string"}}
    return {
        "get": _operation(summary, answers, problems),
        "head": _operation(f"{summary}: headers", _ok(schema), problems),
    }


def _download(gone: tuple[int, ...]) -> Part:
    return {
        "get": _operation("Download (counted)", _redirect(302), (*gone, 409)),
        "head": _operation("Where a download goes (not counted)", _redirect(302), (*gone, 409)),
    }


def _redirect(status: int) -> Part:
    header = {"schema": {"type": "string", "format": "uri"}}
    return {str(status): {"description": "Redirect to S3", "headers": {"Location": header}}}


def _ok(schema: str, status: int = 200) -> Part:
    return {str(status): {"description": schema, "content": _json(schema)}}


def _json(schema: str) -> Part:
    if schema == "object":
        return {"application/json": {"schema": {"type": "object"}}}
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}


def _parameter(name: str, pattern: str = "") -> Part:
    schema: Part = {"type": "string"}
    if pattern:
        schema["pattern"] = pattern
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _query(name: str, schema: Part) -> Part:
    return {"name": name, "in": "query", "required": False, "schema": schema}
