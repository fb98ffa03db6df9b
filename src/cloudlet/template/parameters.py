"""Template parameters: what was given, what is the default, and what CloudFormation refuses.

Every value becomes text or, for list types, a list of texts. The value of an
`AWS::SSM::Parameter::Value<…>` is a name in the parameter store: what is `stored` there counts.
See https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/parameters-section-structure.html.
"""

import re
from collections.abc import Mapping
from typing import Any

from cloudlet.policy import regexes
from cloudlet.template.document import Document
from cloudlet.template.problems import TemplateError
from cloudlet.template.words import words

Value = str | list[str]
_STORED = "AWS::SSM::Parameter::Value<"
_MEMBERS = words(
    "Type Default AllowedValues AllowedPattern ConstraintDescription Description MaxLength MaxValue"
    " MinLength MinValue NoEcho"
)


def hidden(document: Document) -> list[str]:
    """The parameters that are never shown."""
    declared: dict[str, Any] = document.get("Parameters") or {}
    return [name for name, each in declared.items() if _text(each.get("NoEcho", "")) == "true"]


def stored_names(document: Document, given: Mapping[str, str]) -> dict[str, str]:
    """Parameter → the name in the parameter store that is its value."""
    declared: dict[str, Any] = document.get("Parameters") or {}
    return {
        name: given.get(name, _text(each.get("Default", "")))
        for name, each in declared.items()
        if str(_declaration(name, each)["Type"]).startswith(_STORED)
    }


def values(
    document: Document, given: Mapping[str, str], stored: Mapping[str, str] | None = None
) -> dict[str, Value]:
    """The value of each declared parameter, checked as CloudFormation checks it."""
    declared: dict[str, Any] = document.get("Parameters") or {}
    strangers = sorted(given.keys() - declared.keys())
    if strangers:
        raise TemplateError(f"Parameters: [{', '.join(strangers)}] do not exist in the template")
    missing = [
        name
        for name, declaration in declared.items()
        if name not in given and "Default" not in _declaration(name, declaration)
    ]
    if missing:
        raise TemplateError(f"Parameters: [{', '.join(missing)}] must have values")
    texts = {**given, **(stored or {})}
    return {
        name: _value(name, declaration, texts.get(name)) for name, declaration in declared.items()
    }


def _declaration(name: str, declaration: Any) -> Mapping[str, Any]:
    if not isinstance(declaration, dict) or not isinstance(declaration.get("Type"), str):
        raise TemplateError(
            f"Template format error: Every Parameters object must contain a Type member: {name}."
        )
    unknown = declaration.keys() - _MEMBERS
    if unknown:
        raise TemplateError(
            f"Invalid template parameter property '{min(unknown)}' of parameter {name}"
        )
    return declaration


def _value(name: str, declaration: Mapping[str, Any], given: str | None) -> Value:
    kind = declaration["Type"].removeprefix(_STORED).removesuffix(">")
    if declaration["Type"].startswith("List<"):
        kind = declaration["Type"]
    elif kind.startswith("List<"):
        kind += ">"
    text = _text(declaration["Default"]) if given is None else given
    is_list = kind == "CommaDelimitedList" or kind.startswith("List<")
    known = is_list or kind in ("String", "Number", "AWS::SSM::Parameter::Name")
    known = known or kind.startswith(("AWS::EC2::", "AWS::Route53::"))
    if not known:
        raise TemplateError(
            f"Template format error: Unrecognized parameter type: {kind} (parameter {name})"
        )
    items = [item.strip() for item in text.split(",")] if is_list else [text]
    for item in items:
        _check(name, declaration, item)
    return items if is_list else text


def _check(name: str, declaration: Mapping[str, Any], value: str) -> None:
    allowed = declaration.get("AllowedValues")
    if allowed is not None and value not in [_text(each) for each in allowed]:
        shown = ", ".join(_text(each) for each in allowed)
        raise _refusal(name, declaration, f"must be one of AllowedValues [{shown}]")
    pattern = declaration.get("AllowedPattern")
    if pattern is not None and not _matches(pattern, value):
        raise _refusal(name, declaration, f"must match pattern {pattern}")
    if "Number" in declaration["Type"]:
        _check_number(name, declaration, value)
    else:
        _check_length(name, declaration, value)


def _matches(pattern: str, value: str) -> bool:
    try:
        return regexes.matches(pattern, value)
    except re.error as error:
        raise TemplateError(f"The AllowedPattern {pattern} cannot be used: {error}") from error


def _check_number(name: str, declaration: Mapping[str, Any], value: str) -> None:
    try:
        number = float(value)
    except ValueError:
        raise TemplateError(f"Parameter '{name}' must be a number.") from None
    if "MinValue" in declaration and number < float(declaration["MinValue"]):
        bound = f"must be a number not less than {declaration['MinValue']}"
        raise _refusal(name, declaration, bound)
    if "MaxValue" in declaration and number > float(declaration["MaxValue"]):
        bound = f"must be a number not greater than {declaration['MaxValue']}"
        raise _refusal(name, declaration, bound)


def _check_length(name: str, declaration: Mapping[str, Any], value: str) -> None:
    if "MinLength" in declaration and len(value) < int(declaration["MinLength"]):
        bound = f"must contain at least {declaration['MinLength']} characters"
        raise _refusal(name, declaration, bound)
    if "MaxLength" in declaration and len(value) > int(declaration["MaxLength"]):
        bound = f"must contain at most {declaration['MaxLength']} characters"
        raise _refusal(name, declaration, bound)


def _refusal(name: str, declaration: Mapping[str, Any], rule: str) -> TemplateError:
    described = declaration.get("ConstraintDescription")
    if described:
        return TemplateError(f"Parameter {name} failed to satisfy constraint: {described}")
    return TemplateError(f"Parameter '{name}' {rule}")


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
