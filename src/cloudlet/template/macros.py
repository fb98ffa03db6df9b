"""Macros of AWS's own, but SAM's: AWS::LanguageExtensions' loops and AWS::Include.

A loop, `Fn::ForEach::Name: [Identifier, collection, {key: value}]`, becomes its members, wherever
it stands. An inclusion becomes what lies in S3, before anything else is looked at.
See https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/transform-aws-languageextensions.html.
"""

import re
from collections.abc import Awaitable, Callable
from typing import Any

from cloudlet.template import document as documents
from cloudlet.template.document import Document
from cloudlet.template.intrinsics import Scope, resolve
from cloudlet.template.problems import TemplateError

Fetch = Callable[[str], Awaitable[str]]  # S3 URI → text
_LOOP = "Fn::ForEach::"
_LETTERS = 100  # that count as a value


def expanded(document: Document, scope: Scope) -> Document:
    """The template without loops, if it asks for the language extensions."""
    if documents.LANGUAGE_TRANSFORM not in documents.transforms(document):
        return document
    whole: Document = _Expansion(scope).expanded(document, {})
    for member in whole["Resources"].values():
        for name in ("DeletionPolicy", "UpdateReplacePolicy"):  # functions only with this macro
            if isinstance(member, dict) and name in member:
                member[name] = resolve(scope, member[name])
    return whole


class _Expansion:
    """Of one template; what it may become is bounded."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._left = documents.VALUES_MAX

    def expanded(self, value: Any, names: dict[str, str]) -> Any:
        self._left -= 1 + (len(value) // _LETTERS if isinstance(value, str) else 0)
        if self._left < 0:
            raise TemplateError("Fn::ForEach makes the template too large")
        if isinstance(value, str):
            return _named(value, names)
        if isinstance(value, list):
            return [self.expanded(item, names) for item in value]
        if not isinstance(value, dict):
            return value
        if len(value) == 1 and str(value.get("Ref")) in names:
            return names[value["Ref"]]
        members: Document = {}
        for key, item in value.items():
            if str(key).startswith(_LOOP):
                members |= self._loop(str(key), item, names)
            else:
                members[_named(str(key), names)] = self.expanded(item, names)
        return members

    def _loop(self, key: str, loop: Any, names: dict[str, str]) -> Document:
        if not isinstance(loop, list) or len(loop) != 3 or not isinstance(loop[2], dict):
            raise TemplateError(f"{key} layout is incorrect")
        identifier, collection, body = loop
        items = resolve(self._scope, self.expanded(collection, names))
        if not isinstance(items, list):
            raise TemplateError(f"{key}: the collection must be a list")
        members: Document = {}
        for item in items:
            members |= self.expanded(body, {**names, str(identifier): str(item)})
        return members


def _named(text: str, names: dict[str, str]) -> str:
    """`${X}` is the item; `&{X}` is it without all but letters and digits."""
    for name, item in names.items():
        plain = re.sub(r"[^A-Za-z0-9]", "", item)
        text = text.replace(f"${{{name}}}", item).replace(f"&{{{name}}}", plain)
        if len(text) > documents.MAXIMUM_BYTES:
            raise TemplateError("Fn::ForEach makes a text too large")
    return text


async def included(document: Document, fetch: Fetch) -> Document:
    """The template with everything that AWS::Include names."""
    top = document.get("Transform") or []
    rest = []
    for each in top if isinstance(top, list) else [top]:
        if isinstance(each, dict) and each.get("Name") == documents.INCLUDE_TRANSFORM:
            document = {**await _fetched(each, fetch), **document}
        else:
            rest.append(each)
    whole: Document = await _included({**document, "Transform": rest}, fetch)
    return whole


async def _included(value: Any, fetch: Fetch) -> Any:
    if isinstance(value, list):
        return [await _included(item, fetch) for item in value]
    if not isinstance(value, dict):
        return value
    members = {key: await _included(item, fetch) for key, item in value.items()}
    call = members.get("Fn::Transform")
    if isinstance(call, dict) and call.get("Name") == documents.INCLUDE_TRANSFORM:
        del members["Fn::Transform"]
        members |= await _fetched(call, fetch)
    return members


async def _fetched(call: Document, fetch: Fetch) -> Document:
    location = (call.get("Parameters") or {}).get("Location")
    if not isinstance(location, str):
        raise TemplateError("AWS::Include: the parameter Location must be the URI of a file in S3")
    return documents.parse_any(await fetch(location))
