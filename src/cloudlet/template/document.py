"""A template's text → its document, with CloudFormation's short tags spelled out.

`!Sub x` becomes `{"Fn::Sub": "x"}`, so that everything above reads one form only. JSON templates
are YAML too. Dates stay text (`AWSTemplateFormatVersion: 2010-09-09`).
See https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/template-anatomy.html.
"""

from pathlib import Path
from typing import Any

import yaml

from cloudlet.template.problems import TemplateError
from cloudlet.template.words import words

Document = dict[str, Any]
TAGS = words(
    "And Base64 Cidr Contains EachMemberEquals EachMemberIn Equals FindInMap GetAtt GetAZs If"
    " ImportValue Join Length Not Or Select Split Sub ToJsonString Transform"
)
SECTIONS = words(
    "AWSTemplateFormatVersion Conditions Description Globals Mappings Metadata Outputs Parameters"
    " Resources Rules Transform"
)
SAM_TRANSFORM = "AWS::Serverless-2016-10-31"
LANGUAGE_TRANSFORM = "AWS::LanguageExtensions"
INCLUDE_TRANSFORM = "AWS::Include"
_TRANSFORMS = (SAM_TRANSFORM, LANGUAGE_TRANSFORM, INCLUDE_TRANSFORM)
_VERSION = "2010-09-09"
_MOST = {"Mappings": 200, "Outputs": 200, "Parameters": 200, "Resources": 500}
# type → the property that names it
_IAM_TYPES = {
    "AWS::IAM::AccessKey": "",
    "AWS::IAM::Group": "GroupName",
    "AWS::IAM::InstanceProfile": "InstanceProfileName",
    "AWS::IAM::ManagedPolicy": "ManagedPolicyName",
    "AWS::IAM::Policy": "",
    "AWS::IAM::Role": "RoleName",
    "AWS::IAM::User": "UserName",
    "AWS::IAM::UserToGroupAddition": "",
}
VALUES_MAX = 1_000_000
MAXIMUM_BYTES = 1_000_000  # CloudFormation's limit for a template in S3


_Fastest: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # PyYAML may lack libyaml


class _Loader(_Fastest):  # type: ignore[misc]
    """YAML without dates, and without two keys of the same name."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _mapping(loader: _Loader, node: yaml.MappingNode) -> Document:
    seen: set[str] = set()
    for key, _ in node.value:
        if isinstance(key.value, str):
            if key.value in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"the key {key.value!r} is there twice", problem_mark=key.start_mark
                )
            seen.add(key.value)
    document: Document = loader.construct_mapping(node, deep=True)
    return document


def _tagged(loader: _Loader, suffix: str, node: yaml.Node) -> Document:
    if suffix in ("Ref", "Condition"):
        return {suffix: loader.construct_scalar(node)}
    if suffix not in TAGS:
        raise yaml.MarkedYAMLError(
            problem=f"the tag !{suffix} is unknown", problem_mark=node.start_mark
        )
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
        if suffix == "GetAtt":
            value = value.split(".", 1)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    return {f"Fn::{suffix}": value}


_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)
_Loader.add_multi_constructor("!", _tagged)


def parse(text: str) -> Document:
    """The document of a template's text; raises TemplateError with line and column."""
    document = parse_any(text)
    check(document)
    return document


def parse_any(text: str) -> Document:
    """The same for any document that may use the tags (an OpenAPI definition)."""
    try:
        document = yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        raise TemplateError(f"Template format error: {error.problem}{place}") from error
    except yaml.YAMLError as error:
        raise TemplateError(f"Template format error: YAML not well-formed. {error}") from error
    except (ValueError, RecursionError) as error:  # a number too long; nested too deep
        raise TemplateError(f"Template format error: {error}") from error
    if not isinstance(document, dict):
        raise TemplateError("Template format error: unsupported structure.")
    if _weight(document, {}) > VALUES_MAX:
        raise TemplateError("Template format error: its aliases make it too large.")
    return document


def _weight(value: Any, known: dict[int, int]) -> int:
    """The values in it, those of each alias again."""
    if not isinstance(value, dict | list):
        return 1
    if id(value) not in known:
        parts = value.values() if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_weight(part, known) for part in parts)
    return known[id(value)]


def load(path: Path) -> tuple[str, Document]:
    """The file's text and document; errors name the file."""
    try:
        if path.stat().st_size > MAXIMUM_BYTES:
            raise TemplateError("The template is larger than 1,000,000 bytes.", where=str(path))
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TemplateError(f"The template cannot be read: {error}") from error
    try:
        return text, parse(text)
    except TemplateError as error:
        raise error.inside(str(path)) from None


def is_sam(document: Document) -> bool:
    return SAM_TRANSFORM in transforms(document)


def transforms(document: Document) -> list[str]:
    """The names of the macros that the whole template goes through."""
    found = document.get("Transform") or []
    listed = found if isinstance(found, list) else [found]
    return [str(each.get("Name")) if isinstance(each, dict) else str(each) for each in listed]


def capabilities(document: Document) -> list[str]:
    """What its deployer must acknowledge."""
    resources = document.get("Resources") or {}
    members = [each for each in resources.values() if isinstance(each, dict)]
    iam = [each for each in members if str(each.get("Type")) in _IAM_TYPES]
    needed = []
    if any(_IAM_TYPES[each["Type"]] in (each.get("Properties") or {}) for each in iam):
        needed.append("CAPABILITY_NAMED_IAM")
    elif iam:
        needed.append("CAPABILITY_IAM")
    return needed


def check(document: Document) -> None:
    """Raises for what is no template."""
    unknown = sorted(str(name) for name in document.keys() - SECTIONS)
    if unknown:
        raise TemplateError(f"Invalid template property or properties [{', '.join(unknown)}]")
    for transform in transforms(document):
        if transform not in _TRANSFORMS:
            raise TemplateError(f"No transform named {transform} found.")
    version = document.get("AWSTemplateFormatVersion", _VERSION)
    if str(version) != _VERSION:
        raise TemplateError(
            f"Template format error: {version} is not a supported value for"
            " AWSTemplateFormatVersion."
        )
    for section, most in _MOST.items():
        if len(document.get(section) or ()) > most:
            raise TemplateError(
                f"Template format error: Number of {section.lower()},"
                f" {len(document[section])}, is greater than maximum allowed, {most}"
            )
    resources = document.get("Resources")
    if not isinstance(resources, dict) or not resources:
        raise TemplateError("Template format error: At least one Resources member must be defined.")
    for logical_id, resource in resources.items():
        if not str(logical_id).startswith("Fn::"):
            _check_resource(str(logical_id), resource)


def _check_resource(logical_id: str, resource: Any) -> None:
    if not logical_id.isalnum():
        raise TemplateError(
            f"Template format error: Resource name {logical_id} is non alphanumeric."
        )
    if not isinstance(resource, dict) or not isinstance(resource.get("Type"), str):
        raise TemplateError(
            f"Template format error: [/Resources/{logical_id}] Every Resources object must contain"
            " a Type member."
        )
    if not isinstance(resource.get("Properties") or {}, dict):
        raise TemplateError(
            f"Template format error: [/Resources/{logical_id}/Properties] must be an object."
        )
