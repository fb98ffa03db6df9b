"""Loops of AWS::LanguageExtensions, AWS::Include, rules, and values from the parameter store."""

import asyncio
from typing import Any

import pytest

from cloudlet.template import lookups, macros, rules
from cloudlet.template.document import parse, parse_any
from cloudlet.template.intrinsics import Scope, resolve
from cloudlet.template.problems import TemplateError


def expanded(text: str, **parameters: Any) -> Any:
    document = {"Transform": "AWS::LanguageExtensions", **parse_any(text)}
    return macros.expanded(document, Scope(parameters, {}))


def test_loops_make_keys_and_values() -> None:
    found = expanded(
        """
Resources:
  Fn::ForEach::Topics:
    - Name
    - !Ref Names
    - "Topic&{Name}":
        Type: AWS::SNS::Topic
        Properties: {TopicName: !Sub "${Name}-${AWS::Region}", DisplayName: !Ref Name}
  Fn::ForEach::Outer:
    - X
    - [A, B]
    - Fn::ForEach::Inner:
        - Y
        - ["1"]
        - "Both${X}${Y}": {Type: T, DeletionPolicy: !Ref Policy}
""",
        Names=["a.b", "c"],
        Policy="Retain",
    )["Resources"]
    assert sorted(found) == ["BothA1", "BothB1", "Topicab", "Topicc"]
    assert found["BothA1"]["DeletionPolicy"] == "Retain"
    assert found["Topicab"]["Properties"] == {
        "TopicName": {"Fn::Sub": "a.b-${AWS::Region}"},
        "DisplayName": "a.b",
    }


@pytest.mark.parametrize("loop", ["[a, [b]]", "[a, [b], c]", "{}", "[a, b, {}]"])
def test_broken_loops(loop: str) -> None:
    with pytest.raises(TemplateError, match="Fn::ForEach::X"):
        expanded(f"Resources: {{'Fn::ForEach::X': {loop}}}")


def test_without_the_transform_nothing_is_expanded() -> None:
    document = {"Resources": {"Fn::ForEach::X": []}}
    assert macros.expanded(document, Scope({}, {})) is document


def test_inclusions() -> None:
    files = {"s3://b/part": "Type: T\nProperties: {A: !Ref B}", "s3://b/top": "Mappings: {M: {}}"}

    async def fetch(uri: str) -> str:
        return files[uri]

    document = parse_any("""
Transform: [{Name: AWS::Include, Parameters: {Location: "s3://b/top"}}]
Resources:
  R:
    Fn::Transform: {Name: AWS::Include, Parameters: {Location: "s3://b/part"}}
""")
    found = asyncio.run(macros.included(document, fetch))
    assert found["Mappings"] == {"M": {}} and found["Transform"] == []
    assert found["Resources"]["R"] == {"Type": "T", "Properties": {"A": {"Ref": "B"}}}


@pytest.mark.parametrize(
    ("text", "is_kept"),
    [
        ("{Assert: !Contains [[a, b], !Ref Mode]}", True),
        ("{Assert: !Contains [[b], !Ref Mode]}", False),
        ("{Assert: !EachMemberIn [!Ref Names, [x, y, z]]}", True),
        ("{Assert: !EachMemberEquals [!Ref Names, x]}", False),
        ("{Assert: !Not [!Equals [!Ref Mode, a]]}", False),
        ("{Assert: !And [!Equals [a, !Ref Mode], !Contains [[a], a]]}", True),
    ],
)
def test_rules(text: str, is_kept: bool) -> None:
    scope = Scope({"Mode": "a", "Names": ["x", "y"]}, {})
    document = parse_any(f"Rules: {{R: {{Assertions: [{text}]}}}}")
    document["Rules"]["Off"] = {
        "RuleCondition": {"Fn::Equals": ["1", "2"]},
        "Assertions": [{"Assert": {"Fn::Equals": ["1", "2"]}}],
    }
    if is_kept:
        rules.check(document, scope)
    else:
        with pytest.raises(TemplateError, match="Rule R is not satisfied"):
            rules.check(document, scope)


def test_dynamic_references() -> None:
    async def lookup(name: str) -> str:
        return f"<{name}>"

    scope = Scope({}, {}, lookup=lookup)
    value = {"A": ["x{{resolve:ssm:/a:2}}y{{resolve:ssm:b}}", 1]}
    assert asyncio.run(lookups.resolved(scope, value)) == {"A": ["x</a:2>y<b>", 1]}
    with pytest.raises(TemplateError, match="secretsmanager are not implemented"):
        asyncio.run(lookups.resolved(scope, "{{resolve:secretsmanager:a}}"))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{Fn::Cidr: ["10.0.0.0/16", 2, 8]}', ["10.0.0.0/24", "10.0.1.0/24"]),
        ('{Fn::Cidr: ["10.0.0.0/16", 1]}', ["10.0.0.0/24"]),
        ("{Fn::Length: [1, 2, 3]}", 3),
        ("!ImportValue a", "of a"),
    ],
)
def test_functions(text: str, value: Any) -> None:
    scope = Scope({}, {}, exports={"a": "of a"})
    assert resolve(scope, parse_any(f"V: {text}")["V"]) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("AWSTemplateFormatVersion: 2011-01-01", "2011-01-01 is not a supported value"),
        (f"Outputs: {{{', '.join(f'o{n}: 1' for n in range(201))}}}", "Number of outputs, 201"),
        ("Hooks: {}", "Invalid template property or properties [Hooks]"),
        ("Transform: Mine", "No transform named Mine found."),
    ],
)
def test_templates_that_are_none(text: str, message: str) -> None:
    with pytest.raises(TemplateError) as caught:
        parse(f"{text}\nResources: {{A: {{Type: T}}}}")
    assert message in caught.value.message


def test_loops_and_aliases_do_not_explode() -> None:
    inner = "{'X${a}${b}${c}${d}': {Type: 'AWS::S3::Bucket'}}"
    for name in "abcd":
        inner = f"{{'Fn::ForEach::L{name}': [{name}, {list(map(str, range(50)))}, {inner}]}}"
    with pytest.raises(TemplateError, match="too large"):
        expanded(f"Resources: {inner}")
    lines = [f"  a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    with pytest.raises(TemplateError, match="too large"):
        expanded("\n".join(["Metadata:", "  a0: &a0 [x, x, x]", *lines]))
    with pytest.raises(TemplateError, match="recursion"):
        expanded(f"Metadata: {'[' * 5000}{']' * 5000}")
