"""Values from the parameter store: `{{resolve:ssm:name:version}}`, and parameters of SSM's types.

See https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/dynamic-references.html.
"""

import re
from collections.abc import Mapping
from typing import Any

from cloudlet.call import Caller, Cloud
from cloudlet.template.intrinsics import Lookup, Scope, promised
from cloudlet.template.problems import TemplateError

_REFERENCE = re.compile(r"\{\{resolve:([a-z-]+):([^{}]*)\}\}")


def of(cloud: Cloud, caller: Caller | None) -> Lookup:
    """Reads parameters in the deployer's name."""

    async def lookup(name: str) -> str:
        found = await cloud.invoke("ssm", "GetParameters", {"Names": [name]}, caller)
        if found.get("InvalidParameters"):
            raise TemplateError(
                f"Unable to fetch parameters [{name}] from parameter store for this account."
            )
        return str(found["Parameters"][0]["Value"])

    return lookup


async def resolved(scope: Scope, value: Any) -> Any:
    """The value with its dynamic references replaced."""
    if isinstance(value, str):
        return await _text(scope, value) if "{{resolve:" in value else value
    if isinstance(value, list):
        return [await resolved(scope, item) for item in value]
    if isinstance(value, dict):
        return {key: await resolved(scope, item) for key, item in value.items()}
    return value


async def _text(scope: Scope, text: str) -> str:
    if promised(text):
        return text
    for match in list(_REFERENCE.finditer(text)):
        if match[1] != "ssm" or scope.lookup is None:
            raise TemplateError(
                f"Dynamic references to {match[1]} are not implemented by cloudlet."
            )
        text = text.replace(match[0], await scope.lookup(match[2].strip()))
    return text


async def stored(lookup: Lookup, names: Mapping[str, str]) -> dict[str, str]:
    """Parameter → its value in the store, for those whose value is a name."""
    return {name: await lookup(text.strip()) for name, text in names.items()}
