"""Parameters and their refusals, worded as CloudFormation words them."""

import pytest

from cloudlet.template.document import parse_any
from cloudlet.template.parameters import values
from cloudlet.template.problems import TemplateError

TEMPLATE = """
Parameters:
  Mode: {Type: String, Default: dev, AllowedValues: [dev, prod]}
  Count: {Type: Number, Default: 3, MinValue: 1, MaxValue: 9}
  Name: {Type: String, Default: abc, MinLength: 2, MaxLength: 4, AllowedPattern: "[a-z]+"}
  Mail: {Type: String, Default: a@b, AllowedPattern: ".+@.+", ConstraintDescription: needs an @}
  Hosts: {Type: CommaDelimitedList, Default: "a, b"}
  Secret: {Type: String, Default: x, NoEcho: true}
"""


def test_defaults_and_given_values() -> None:
    found = values(parse_any(TEMPLATE), {"Mode": "prod", "Count": "4"})
    assert found == {
        "Mode": "prod",
        "Count": "4",
        "Name": "abc",
        "Mail": "a@b",
        "Hosts": ["a", "b"],
        "Secret": "x",
    }


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("Mode", "test", "Parameter 'Mode' must be one of AllowedValues [dev, prod]"),
        ("Count", "x", "Parameter 'Count' must be a number."),
        ("Count", "0", "Parameter 'Count' must be a number not less than 1"),
        ("Count", "10", "Parameter 'Count' must be a number not greater than 9"),
        ("Name", "a", "Parameter 'Name' must contain at least 2 characters"),
        ("Name", "abcde", "Parameter 'Name' must contain at most 4 characters"),
        ("Name", "AB", "Parameter 'Name' must match pattern [a-z]+"),
        ("Mail", "ab", "Parameter Mail failed to satisfy constraint: needs an @"),
        ("Other", "1", "Parameters: [Other] do not exist in the template"),
    ],
)
def test_refusals(name: str, value: str, message: str) -> None:
    with pytest.raises(TemplateError) as caught:
        values(parse_any(TEMPLATE), {name: value})
    assert caught.value.message == message


def test_a_parameter_without_default_must_be_given() -> None:
    with pytest.raises(TemplateError, match=r"Parameters: \[A, B\] must have values"):
        values(parse_any("Parameters: {A: {Type: String}, B: {Type: Number}}"), {})


def test_unknown_types_are_refused() -> None:
    with pytest.raises(TemplateError, match="Unrecognized parameter type"):
        values(parse_any("Parameters: {A: {Type: 'AWS::Nothing::Id', Default: x}}"), {})
