"""CloudFormation's intrinsic functions and conditions, evaluated against what is known.

A `Scope` holds parameters, mappings, conditions, pseudo parameters and the resources that exist so
far. A reference to a resource that is yet to be made evaluates to a *promise*: text with a marker
that string functions carry along, so that a plan can be made before anything is done. `promised`
tells whether a value holds one.
See https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/intrinsic-function-reference.html.
"""

import base64
import ipaddress
import json
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from cloudlet.template.problems import TemplateError

NO_VALUE = object()
_PROMISE = "\x1a"
_VARIABLE = re.compile(r"\$\{([^!${}][^${}]*)\}")
_LITERAL = re.compile(r"\$\{!([^${}]*)\}")
_FUNCTION_URL = re.compile(  # as cloudlet gives it out
    r"http://(?:localhost:\d+/_aws/lambda-url/)?(?P<id>[a-z0-9]{20,})"
    r"(?:\.lambda-url\.[a-z0-9-]+\.localhost:\d+)?/"
)


Lookup = Callable[[str], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a resource: its physical id (the value of `Ref`) and its attributes."""

    physical_id: str
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Scope:
    """Everything a template's expressions may refer to. `resources` grows while deploying."""

    parameters: Mapping[str, Any]
    pseudo: Mapping[str, Any]
    mappings: Mapping[str, Any] = field(default_factory=dict)
    conditions: Mapping[str, Any] = field(default_factory=dict)
    declared: frozenset[str] = frozenset()  # logical ids of the template
    resources: dict[str, Known] = field(default_factory=dict)
    exports: Mapping[str, str] = field(default_factory=dict)  # of all stacks: name → value
    imported: set[str] = field(default_factory=set)  # the names that were used
    lookup: Lookup | None = None  # reads the parameter store
    _truths: dict[str, bool] = field(default_factory=dict)
    _open: list[str] = field(default_factory=list)

    def condition(self, name: str) -> bool:
        if name not in self._truths:
            if name not in self.conditions:
                raise TemplateError(
                    f"Template format error: Unresolved condition dependency {name}"
                )
            if name in self._open:
                raise TemplateError(f"Circular dependency between conditions: [{name}]")
            self._open.append(name)
            self._truths[name] = truth(self, self.conditions[name])
            self._open.pop()
        return self._truths[name]

    def reference(self, name: str) -> Any:
        """The value of `Ref`."""
        if name in self.pseudo:
            return self.pseudo[name]
        if name in self.parameters:
            return self.parameters[name]
        if name in self.resources:
            return self.resources[name].physical_id
        if name in self.declared:
            return promise(name)
        raise TemplateError(
            f"Template format error: Unresolved resource dependencies [{name}] in the Resources"
            " block of the template"
        )

    def attribute(self, name: str, attribute: str) -> Any:
        """The value of `Fn::GetAtt`."""
        known = self.resources.get(name)
        if known is None:
            if name in self.declared:
                return promise(f"{name}.{attribute}")
            raise TemplateError(
                f"Template error: instance of Fn::GetAtt references undefined resource {name}"
            )
        if attribute not in known.attributes:
            raise TemplateError(
                f"Requested attribute {attribute} does not exist in schema for {name}"
            )
        return known.attributes[attribute]


def resolve(scope: Scope, value: Any) -> Any:
    """The value with every function evaluated; `AWS::NoValue` removes its member."""
    resolved = _resolve(scope, value)
    return None if resolved is NO_VALUE else resolved


def references(value: Any) -> Iterator[tuple[str, str]]:
    """Every name the value refers to: ("ref", name) or ("condition", name)."""
    if isinstance(value, list):
        for item in value:
            yield from references(item)
    elif isinstance(value, dict):
        if len(value) == 1:
            name, argument = next(iter(value.items()))
            if name == "Ref":
                yield "ref", str(argument)
                return
            if name == "Condition" and isinstance(argument, str):
                yield "condition", argument
                return
            if name == "Fn::GetAtt":
                yield (
                    "ref",
                    str((argument.split(".") if isinstance(argument, str) else argument)[0]),
                )
            if name == "Fn::If" and isinstance(argument, list) and argument:
                yield "condition", str(argument[0])
            if name == "Fn::Sub":
                yield from _sub_references(argument)
        for member in value.values():
            yield from references(member)


def promise(what: str) -> str:
    return f"{_PROMISE}{what}{_PROMISE}"


def promised(value: Any) -> bool:
    """True if a part of the value is known only after other resources are made."""
    if isinstance(value, str):
        return _PROMISE in value
    if isinstance(value, dict):
        return any(promised(member) for member in value.values())
    return isinstance(value, list) and any(promised(item) for item in value)


def _resolve(scope: Scope, value: Any) -> Any:
    if isinstance(value, list):
        items = [_resolve(scope, item) for item in value]
        return [item for item in items if item is not NO_VALUE]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        name, argument = next(iter(value.items()))
        if name == "Ref":
            return NO_VALUE if argument == "AWS::NoValue" else scope.reference(str(argument))
        if isinstance(name, str) and name.startswith("Fn::"):
            return _function(name)(scope, argument)
    members = {str(key): _resolve(scope, member) for key, member in value.items()}
    return {key: member for key, member in members.items() if member is not NO_VALUE}


def _function(name: str) -> Callable[[Scope, Any], Any]:
    function = _FUNCTIONS.get(name)
    if function is None:
        raise TemplateError(f"Template error: {name} is not implemented by cloudlet")
    return function


def _arguments(name: str, argument: Any, count: int) -> list[Any]:
    if not isinstance(argument, list) or len(argument) != count:
        raise TemplateError(
            f"Template error: every {name} object requires a list of {count} parameters."
        )
    return argument


def _get_att(scope: Scope, argument: Any) -> Any:
    parts = argument.split(".", 1) if isinstance(argument, str) else argument
    if not isinstance(parts, list) or len(parts) < 2:
        raise TemplateError(
            "Template error: every Fn::GetAtt object requires two non-empty parameters, the"
            " resource name and the resource attribute"
        )
    attribute = ".".join(str(resolve(scope, part)) for part in parts[1:])
    return scope.attribute(str(parts[0]), attribute)


def _sub(scope: Scope, argument: Any) -> str:
    text, names = _sub_parts(argument)
    values = {name: resolve(scope, value) for name, value in names.items()}

    def replace(match: re.Match[str]) -> str:
        name = match[1].strip()
        if name in values:
            return _text(values[name])
        if "." in name:
            return _text(_get_att(scope, name))
        return _text(scope.reference(name))

    return _LITERAL.sub(r"${\1}", _VARIABLE.sub(replace, text))


def _sub_parts(argument: Any) -> tuple[str, Mapping[str, Any]]:
    if isinstance(argument, str):
        return argument, {}
    if (
        isinstance(argument, list)
        and len(argument) == 2
        and isinstance(argument[0], str)
        and isinstance(argument[1], dict)
    ):
        return argument[0], argument[1]
    raise TemplateError(
        "Template error: One or more Fn::Sub intrinsic functions don't specify expected arguments."
        " Specify a string as first argument, and an optional second argument to specify a mapping"
        " of values to replace in the string"
    )


def _sub_references(argument: Any) -> Iterator[tuple[str, str]]:
    text, names = _sub_parts(argument)
    for match in _VARIABLE.finditer(text):
        name = match[1].strip()
        if name not in names:
            yield "ref", name.split(".", 1)[0]


def _join(scope: Scope, argument: Any) -> str:
    delimiter, items = _arguments("Fn::Join", argument, 2)
    items = resolve(scope, items)
    if not isinstance(delimiter, str) or not isinstance(items, list):
        if isinstance(items, str) and promised(items):
            return items
        raise TemplateError(
            "Template error: every Fn::Join object requires two parameters, (1) a string delimiter"
            " and (2) a list of strings to be joined or a function that returns a list of strings"
        )
    return delimiter.join(_text(item) for item in items)


def _select(scope: Scope, argument: Any) -> Any:
    index, items = _arguments("Fn::Select", argument, 2)
    index, items = resolve(scope, index), resolve(scope, items)
    if isinstance(items, str) and promised(items):
        return items
    if not isinstance(items, list) or not str(index).isdigit() or int(index) >= len(items):
        raise TemplateError(
            f"Template error: Fn::Select cannot select nonexistent value at index {index}"
        )
    return items[int(index)]


def _split(scope: Scope, argument: Any) -> Any:
    delimiter, source = _arguments("Fn::Split", argument, 2)
    source = resolve(scope, source)
    if not isinstance(source, str) or not isinstance(delimiter, str) or not delimiter:
        raise TemplateError(
            "Template error: every Fn::Split object requires two parameters, (1) a string delimiter"
            " and (2) a string to be split or a function that returns a string to be split."
        )
    if promised(source):
        return source
    if url := _FUNCTION_URL.fullmatch(source):
        # template-002: who takes one to pieces wants the host, for a distribution say
        source = f"https://{url['id']}.lambda-url.{scope.pseudo['AWS::Region']}.on.aws/"
    return source.split(delimiter)


def _if(scope: Scope, argument: Any) -> Any:
    condition, yes, no = _arguments("Fn::If", argument, 3)
    return _resolve(scope, yes if scope.condition(str(condition)) else no)


def _find_in_map(scope: Scope, argument: Any) -> Any:
    if not isinstance(argument, list) or len(argument) not in (3, 4):
        raise TemplateError(
            "Template error: every Fn::FindInMap object requires three parameters, the map name,"
            " map key and the attribute for return value"
        )
    name, key, attribute = (_text(resolve(scope, part)) for part in argument[:3])
    try:
        return scope.mappings[name][key][attribute]
    except (KeyError, TypeError):
        if len(argument) == 4 and isinstance(argument[3], dict) and "DefaultValue" in argument[3]:
            return resolve(scope, argument[3]["DefaultValue"])
        raise TemplateError(
            f"Template error: Unable to get mapping for {name}::{key}::{attribute}"
        ) from None


def _base64(scope: Scope, argument: Any) -> str:
    text = _text(resolve(scope, argument))
    return text if promised(text) else base64.b64encode(text.encode()).decode()


def _get_azs(scope: Scope, argument: Any) -> list[str]:
    region = resolve(scope, argument) or scope.pseudo["AWS::Region"]
    return [f"{region}a"]  # one machine is one availability zone


def _to_json_string(scope: Scope, argument: Any) -> str:
    return json.dumps(resolve(scope, argument), separators=(",", ":"))


def _length(scope: Scope, argument: Any) -> int:
    items = resolve(scope, argument)
    if not isinstance(items, list):
        raise TemplateError("Template error: Fn::Length requires a list")
    return len(items)


def _cidr(scope: Scope, argument: Any) -> list[str]:
    """`count` networks, the first of the block, each with `bits` bits for hosts."""
    if not isinstance(argument, list) or len(argument) not in (2, 3):
        raise TemplateError(
            "Template error: every Fn::Cidr object requires two or three parameters"
        )
    block, count, bits = (*(resolve(scope, part) for part in argument), None)[:3]
    try:
        network = ipaddress.ip_network(str(block))
        prefix = network.max_prefixlen - int(bits or (8 if network.version == 4 else 64))
        subnets = network.subnets(new_prefix=prefix)
        return [str(next(subnets)) for _ in range(int(count))]
    except (ValueError, StopIteration):
        raise TemplateError(
            f"Template error: Fn::Cidr cannot make {count} networks of {block}"
        ) from None


def _import_value(scope: Scope, argument: Any) -> str:
    name = _text(resolve(scope, argument))
    if name not in scope.exports:
        raise TemplateError(f"No export named {name} found.")
    scope.imported.add(name)
    return scope.exports[name]


def _refused(what: str) -> Callable[[Scope, Any], Any]:
    def refuse(scope: Scope, argument: Any) -> Any:
        raise TemplateError(f"Template error: {what}")

    return refuse


def truth(scope: Scope, value: Any) -> bool:
    if isinstance(value, dict) and len(value) == 1:
        name, argument = next(iter(value.items()))
        if name == "Condition":
            return scope.condition(str(argument))
        if name == "Fn::Equals":
            left, right = _arguments(name, argument, 2)
            return _text(resolve(scope, left)) == _text(resolve(scope, right))
        if name == "Fn::Not":
            return not truth(scope, _arguments(name, argument, 1)[0])
        if name in ("Fn::And", "Fn::Or") and isinstance(argument, list):
            if not 2 <= len(argument) <= 10:
                raise TemplateError(
                    f"Template error: every {name} object requires a list of at least 2 and at most"
                    " 10 boolean parameters."
                )
            return (all if name == "Fn::And" else any)(truth(scope, each) for each in argument)
    raise TemplateError(
        "Template format error: Every Conditions member must be one of Fn::And, Fn::Or, Fn::Not,"
        f" Fn::Equals or Condition, not {value!r}"
    )


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, dict)):
        raise TemplateError("Template error: a list or an object stands where text must be")
    return "" if value is None else str(value)


_FUNCTIONS: Mapping[str, Callable[[Scope, Any], Any]] = {
    "Fn::GetAtt": _get_att,
    "Fn::Sub": _sub,
    "Fn::Join": _join,
    "Fn::Select": _select,
    "Fn::Split": _split,
    "Fn::If": _if,
    "Fn::FindInMap": _find_in_map,
    "Fn::Base64": _base64,
    "Fn::GetAZs": _get_azs,
    "Fn::ToJsonString": _to_json_string,
    "Fn::Cidr": _cidr,
    "Fn::Length": _length,
    "Fn::ImportValue": _import_value,
    "Fn::Transform": _refused("Fn::Transform: only AWS::Include is implemented by cloudlet"),
}
