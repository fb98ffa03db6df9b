"""Tags, functions, conditions and references."""

import base64
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from cloudlet.template import document
from cloudlet.template.intrinsics import Known, Scope, promised, references, resolve
from cloudlet.template.problems import TemplateError

RESOURCES = "Resources: {A: {Type: 'AWS::S3::Bucket'}}\n"


def scope(**changes: Any) -> Scope:
    settings: dict[str, Any] = {
        "parameters": {"Mode": "prod", "Names": ["a", "b"]},
        "pseudo": {"AWS::Region": "us-east-1", "AWS::StackName": "app"},
        "mappings": {"Sizes": {"us-east-1": {"Memory": 512}}},
        "conditions": {"IsProduction": {"Fn::Equals": [{"Ref": "Mode"}, "prod"]}},
        "declared": frozenset({"Table", "Later"}),
        "resources": {"Table": Known("app-table", {"Arn": "arn:aws:dynamodb:::table/app-table"})},
    }
    return Scope(**{**settings, **changes})


def value(text: str) -> Any:
    return resolve(scope(), document.parse_any(f"V: {text}")["V"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("!Ref Mode", "prod"),
        ("!Ref Table", "app-table"),
        ("!GetAtt Table.Arn", "arn:aws:dynamodb:::table/app-table"),
        ("!GetAtt [Table, Arn]", "arn:aws:dynamodb:::table/app-table"),
        ('!Sub "${Mode}-${Table.Arn}-${AWS::Region}"',
         "prod-arn:aws:dynamodb:::table/app-table-us-east-1"),
        ('!Sub ["${Name}/${!Literal}/${Mode}", {Name: !Ref Table}]', "app-table/${Literal}/prod"),
        ('!Join ["-", [a, !Ref Mode, 3]]', "a-prod-3"),
        ('!Join [",", !Ref Names]', "a,b"),
        ('!Select [1, !Split [",", "a,b,c"]]', "b"),
        ('!Select ["0", !Ref Names]', "a"),
        ("!If [IsProduction, yes-value, no-value]", "yes-value"),
        ("!FindInMap [Sizes, !Ref AWS::Region, Memory]", 512),
        ("!FindInMap [Sizes, nowhere, Memory, {DefaultValue: 1}]", 1),
        ("!Base64 hello", base64.b64encode(b"hello").decode()),
        ("!GetAZs ''", ["us-east-1a"]),
        ("!ToJsonString {a: !Ref Mode}", '{"a":"prod"}'),
        ("{a: !Ref AWS::NoValue, b: [!Ref AWS::NoValue, 1]}", {"b": [1]}),
        ("{Fn::Sub: 'x-${Mode}'}", "x-prod"),
    ],
)  # fmt: skip
def test_functions(text: str, expected: Any) -> None:
    assert value(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("!Ref Nothing", "Unresolved resource dependencies [Nothing]"),
        ("!GetAtt Nothing.Arn", "references undefined resource Nothing"),
        ("!GetAtt Table.Nothing", "Requested attribute Nothing does not exist"),
        ("!Select [5, !Ref Names]", "cannot select nonexistent value at index 5"),
        ("!FindInMap [Sizes, x, Memory]", "Unable to get mapping for Sizes::x::Memory"),
        ("!If [Nothing, 1, 2]", "Unresolved condition dependency Nothing"),
        ("!ImportValue x", "No export named x found."),
        ("!Transform {Name: AWS::Include}", "Fn::Transform"),
        ("{Fn::Cidr: [a, 1, 2]}", "Fn::Cidr cannot make 1 networks of a"),
        ("!Sub [1, 2]", "Fn::Sub intrinsic functions don't specify expected arguments"),
        ("!Join [1]", "every Fn::Join object requires"),
        ("!Sub '${Names}'", "a list or an object stands where text must be"),
    ],
)
def test_mistakes(text: str, message: str) -> None:
    with pytest.raises(TemplateError) as caught:
        value(text)
    assert message in caught.value.message


@pytest.mark.parametrize("form", [
    "http://localhost:4566/_aws/lambda-url/{id}/",
    "http://{id}.lambda-url.us-east-1.localhost:4566/",
])  # fmt: skip
def test_the_host_of_a_function_url_is_as_on_aws(form: str) -> None:
    """template-002"""
    identifier = "0123456789abcdef" * 2
    text = f'!Select [2, !Split ["/", "{form.format(id=identifier)}"]]'
    assert value(text) == f"{identifier}.lambda-url.us-east-1.on.aws"


def test_what_is_not_made_yet_is_a_promise() -> None:
    for text in (
        "!Ref Later",
        "!GetAtt Later.Arn",
        "!Sub 'x-${Later.Arn}'",
        '!Join ["/", [a, !Ref Later]]',
        '!Select [5, !Split [":", !GetAtt Later.Arn]]',
        "!Base64 {Ref: Later}",
        "{a: [{b: !Ref Later}]}",
    ):
        assert promised(value(text)), text
    assert not promised(value("!Ref Table"))


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("!Not [!Equals [a, a]]", False),
        ("!And [!Condition IsProduction, !Equals [a, a]]", True),
        ("!Or [!Equals [a, b], !Equals [true, 'true']]", True),
    ],
)
def test_conditions(condition: str, expected: bool) -> None:
    parsed = document.parse_any(f"C: {condition}")["C"]
    base = {"IsProduction": {"Fn::Equals": [{"Ref": "Mode"}, "prod"]}}
    assert scope(conditions={**base, "C": parsed}).condition("C") is expected


def test_conditions_in_a_circle_are_refused() -> None:
    with pytest.raises(TemplateError, match="Circular dependency between conditions"):
        scope(conditions={"C": {"Fn::Not": [{"Condition": "C"}]}}).condition("C")


def test_references_are_found_everywhere() -> None:
    parsed = document.parse_any(
        "V: [!Ref A, !GetAtt B.Arn, !Sub ['${C.Arn}${x}', {x: !Ref D}], !If [E, !Ref F, 1]]"
    )
    assert set(references(parsed["V"])) == {
        ("ref", "A"), ("ref", "B"), ("ref", "C"), ("ref", "D"), ("condition", "E"), ("ref", "F"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "Template format error"),
        ("- a", "unsupported structure"),
        (RESOURCES + "Other: 1", "Invalid template property or properties [Other]"),
        ("Description: x", "At least one Resources member must be defined."),
        ("Resources: {A: {}}", "Every Resources object must contain a Type member."),
        ("Resources: {A-b: {Type: x}}", "Resource name A-b is non alphanumeric."),
        (RESOURCES + "Transform: Mine", "No transform named Mine found."),
        (RESOURCES + RESOURCES, "the key 'Resources' is there twice (line 2"),
        ("Resources: {A: {Type: !Nope x}}", "the tag !Nope is unknown"),
    ],
)
def test_documents_that_are_no_templates(text: str, message: str) -> None:
    with pytest.raises(TemplateError) as caught:
        document.parse(text)
    assert message in caught.value.message


def test_dates_stay_text() -> None:
    parsed = document.parse("AWSTemplateFormatVersion: 2010-09-09\n" + RESOURCES)
    assert parsed["AWSTemplateFormatVersion"] == "2010-09-09"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text("abc :-"),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.text("abcdef", min_size=1), inner, max_size=3)
        ),
        max_leaves=10,
    )
)
def test_values_without_functions_stay_as_they_are(value: Any) -> None:
    text = yaml.safe_dump({"V": value})
    assert resolve(scope(), document.parse_any(text)["V"]) == value
