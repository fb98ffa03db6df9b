"""The four kinds of expression: refusals word for word, conditions, projections, updates."""

from typing import Any

import pytest

from cloudlet.dynamodb import expressions, paths, updates
from tests.unit.dynamodb.conftest import refused

ITEM: dict[str, Any] = {
    "s": {"S": "hello"},
    "n": {"N": "5"},
    "b": {"B": "AQI="},
    "l": {"L": [{"N": "1"}, {"S": "x"}, {"M": {"q": {"N": "7"}}}]},
    "m": {"M": {"in": {"S": "y"}, "a": {"N": "1"}}},
    "ss": {"SS": ["a", "b"]},
    "tab": {"BOOL": True},
}
VALUES: dict[str, Any] = {
    ":n": {"N": "5.0"},
    ":four": {"N": "4"},
    ":six": {"N": "6"},
    ":s": {"S": "hello"},
    ":he": {"S": "he"},
    ":a": {"S": "a"},
    ":x": {"S": "x"},
    ":S": {"S": "S"},
    ":b": {"B": "AQ=="},
    ":ss": {"SS": ["b", "a"]},
    ":three": {"N": "3"},
}


def used(text: str, given: dict[str, Any] = VALUES) -> dict[str, Any] | None:
    found = {name: value for name, value in given.items() if _is_in(name, text)}
    return found or None


def _is_in(name: str, text: str) -> bool:
    padded = text.replace(",", " ").replace(")", " ").replace("(", " ") + " "
    return f"{name} " in padded


def condition(text: str, names: dict[str, str] | None = None) -> bool:
    params = {
        "ConditionExpression": text,
        "ExpressionAttributeValues": used(text),
        "ExpressionAttributeNames": names,
    }
    return expressions.of(params, "ConditionExpression").holds("ConditionExpression", ITEM)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("n = :n", True),
        ("n <> :n", False),
        ("gone <> :n", True),
        ("gone = :n", False),
        ("n < :six AND n > :four", True),
        ("n <= :n and n >= :n", True),
        ("n < :four OR s = :s", True),
        ("NOT n = :n", False),
        ("NOT (n = :four OR n = :six)", True),
        ("s < :n", False),
        ("n BETWEEN :four AND :six", True),
        ("s IN (:a, :s)", True),
        ("gone IN (:a)", False),
        ("attribute_exists(m.a) AND attribute_not_exists(m.zz)", True),
        ("attribute_exists(l[2].q) AND attribute_not_exists(l[3])", True),
        ("begins_with(s, :he)", True),
        ("begins_with(b, :b)", True),
        ("contains(s, :he)", True),
        ("contains(ss, :a)", True),
        ("contains(l, :x)", True),
        ("contains(n, :n)", False),
        ("attribute_type(s, :S)", True),
        ("size(s) = :n", True),
        ("size(l) = :three", True),
        ("size(n) = :three", False),
        ("ss = :ss", True),
        ("n=:n", True),
        ("((n = :n) AND s = :s)", True),
    ],
)
def test_conditions(text: str, expected: bool) -> None:
    padded = text.replace("=:n", "= :n") if text == "n=:n" else text
    assert condition(padded) is expected


def test_placeholders_for_names() -> None:
    assert condition("#m.#i = :x", {"#m": "m", "#i": "in"}) is False
    assert condition("#l[1] = :x", {"#l": "l"}) is True


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "The expression can not be empty;"),
        ("a =", 'Syntax error; token: "<EOF>", near: "="'),
        ("a ! :n", 'Syntax error; token: "!", near: "a !"'),
        ("!!!", 'Syntax error; token: "!", near: "!!"'),  # dynamodb-069
        ("size = :n", "Attribute name is a reserved keyword; reserved keyword: size"),
        ("a = :nope", "An expression attribute value used in expression is not defined; attribute"
         " value: :nope"),
        ("#nope = :n", "An expression attribute name used in the document path is not defined;"
         " attribute name: #nope"),
        ("foo(a)", "Invalid function name; function: foo"),
        ("begins_with(s)", "Incorrect number of operands for operator or function; operator or"
         " function: begins_with, number of operands: 1"),
        ("begins_with(s, :n)", "Incorrect operand type for operator or function; operator or"
         " function: begins_with, operand type: N"),
        ("attribute_exists(:n)", "Operator or function requires a document path; operator or"
         " function: attribute_exists"),
        ("attribute_type(s, :a)", "Invalid attribute type name found; type: a, valid types:"
         " {B,NULL,SS,BOOL,L,BS,N,NS,S,M}"),
        ("size(s)", "The function is not allowed to be used this way in an expression; function:"
         " size"),
        ("n = n", "The first operand must be distinct from the remaining operands for this operator"
         " or function; operator: =, first operand: [n]"),
        ("n < :ss", "Incorrect operand type for operator or function; operator or"
         " function: <, operand type: SS"),
        ("n BETWEEN :six AND :four", "The BETWEEN operator requires upper bound to be greater"
         " than or equal to lower bound; lower bound operand: AttributeValue: {N:6}, upper bound"
         " operand: AttributeValue: {N:4}"),
        ("n BETWEEN :s AND :six", "The BETWEEN operator requires same data type for lower and upper"
         " bounds; lower bound operand: AttributeValue: {S:hello}, upper bound operand:"
         " AttributeValue: {N:6}"),
        ("((n = :n))", "The expression has redundant parentheses;"),
        ("if_not_exists(a, :n)", "The function is not allowed to be used this way in an expression;"
         " function: if_not_exists"),
    ],
)  # fmt: skip
def test_refusals(text: str, message: str) -> None:
    assert refused(condition, text).message == f"Invalid ConditionExpression: {message}"


def test_long_and_deep_expressions_are_refused() -> None:
    long = "a = :n" + " " * 4096
    assert "maximum allowed size; expression size: 4102" in refused(condition, long).message
    assert refused(condition, "NOT " * 1000 + "a = :n").code == "ValidationException"
    assert refused(condition, "(" * 2000 + "a = :n").code == "ValidationException"


def test_bindings_are_checked() -> None:
    def of(**params: Any) -> Any:
        return expressions.of(params, "ConditionExpression", "ProjectionExpression")

    v = {":v": {"N": "1"}}
    assert refused(of, ExpressionAttributeNames={"#a": "a"}).message == (
        "ExpressionAttributeNames can only be specified when using expressions"
    )
    assert refused(of, ExpressionAttributeValues=v).message == (
        "ExpressionAttributeValues can only be specified when using expressions:"
        " ConditionExpression is null"
    )
    text = {"ConditionExpression": "a = :v"}
    assert refused(of, **text, ExpressionAttributeValues={**v, ":w": {"N": "1"}}).message == (
        "Value provided in ExpressionAttributeValues unused in expressions: keys: {:w}"
    )
    names = {"#x": "x"}
    assert refused(
        of, **text, ExpressionAttributeValues=v, ExpressionAttributeNames=names
    ).message == ("Value provided in ExpressionAttributeNames unused in expressions: keys: {#x}")
    assert refused(of, **text, ExpressionAttributeNames={"x": "x"}).message == (
        'ExpressionAttributeNames contains invalid key: Syntax error; key: "x"'
    )
    assert refused(of, **text, ExpressionAttributeValues={"v": {"N": "1"}}).message == (
        'ExpressionAttributeValues contains invalid key: Syntax error; key: "v"'
    )
    assert refused(of, **text, ExpressionAttributeValues={":v": {"N": "z"}}).message == (
        "ExpressionAttributeValues contains invalid value: The parameter cannot be converted to a"
        " numeric value: z for key :v"
    )
    assert refused(of, **text, ExpressionAttributeValues={}).message == (
        "ExpressionAttributeValues must not be empty"
    )
    assert refused(of, **text, ExpressionAttributeNames={}).message == (
        "ExpressionAttributeNames must not be empty"
    )


def projected(text: str) -> dict[str, Any]:
    return expressions.of({"ProjectionExpression": text}, "ProjectionExpression").project(ITEM)


def test_projections() -> None:
    assert projected("n, gone, m.zz") == {"n": {"N": "5"}}
    assert projected("m.a, l[2].q, l[0]") == {
        "m": {"M": {"a": {"N": "1"}}},
        "l": {"L": [{"N": "1"}, {"M": {"q": {"N": "7"}}}]},
    }
    assert refused(projected, "m.a, m").message == (
        "Invalid ProjectionExpression: Two document paths overlap with each other; must remove or"
        " rewrite one of these paths; path one: [m, a], path two: [m]"
    )
    assert refused(projected, "m.a, m[1]").message == (
        "Invalid ProjectionExpression: Two document paths conflict with each other; must remove or"
        " rewrite one of these paths; path one: [m, a], path two: [m, [1]]"
    )


def updated(text: str, given: dict[str, Any] | None = None) -> dict[str, Any]:
    params = {"UpdateExpression": text, "ExpressionAttributeValues": given}
    found = expressions.of(params, "UpdateExpression")
    return updates.apply(found.actions, found.bindings, ITEM)


def test_updates() -> None:
    one = {":v": {"N": "1"}}
    assert updated("SET n = n + :v", one)["n"] == {"N": "6"}
    assert updated("SET n = :v - n", one)["n"] == {"N": "-4"}
    assert updated("SET zz = if_not_exists(zz, :v) + if_not_exists(n, :v)", one)["zz"] == {"N": "6"}
    assert updated("set l[0] = :v, l[9] = :v, l[7] = :v", one)["l"]["L"][3:] == [one[":v"]] * 2
    assert updated("SET m.fresh = :v", one)["m"]["M"]["fresh"] == {"N": "1"}
    assert updated("REMOVE l[0], l[2], t, gone")["l"] == {"L": [{"S": "x"}]}
    assert updated("ADD n :v, fresh :v", one)["fresh"] == {"N": "1"}
    more = {":v": {"SS": ["c", "a"]}}
    assert updated("ADD ss :v", more)["ss"] == {"SS": ["a", "b", "c"]}
    assert updated("DELETE ss :v", more)["ss"] == {"SS": ["b"]}
    assert "ss" not in updated("DELETE ss :v", {":v": {"SS": ["a", "b"]}})
    assert updated("SET l = list_append(l, :v)", {":v": {"L": [{"S": "end"}]}})["l"]["L"][3] == {
        "S": "end"
    }
    assert paths.find(ITEM, ("n",)) == {"N": "5"}  # the old item is left alone


@pytest.mark.parametrize(
    ("text", "value", "message"),
    [
        ("SET a.b = :v", {"N": "1"}, "The document path provided in the update expression is"
         " invalid for update"),
        ("SET a = zz + :v", {"N": "1"}, "The provided expression refers to an attribute that does"
         " not exist in the item"),
        ("SET a = s + :v", {"N": "1"}, "An operand in the update expression has an incorrect data"
         " type"),
        ("ADD s :v", {"N": "1"}, "An operand in the update expression has an incorrect data type"),
        ("ADD z :v", {"S": "1"}, "Invalid UpdateExpression: Incorrect operand type for operator or"
         " function; operator: ADD, operand type: STRING, typeSet: ALLOWED_FOR_ADD_OPERAND"),
        ("SET a = :v SET b = :v", {"S": "1"}, 'Invalid UpdateExpression: The "SET" section can only'
         " be used once in an update expression;"),
        ("SET a = :v REMOVE a", {"S": "1"}, "Invalid UpdateExpression: Two document paths overlap"
         " with each other; must remove or rewrite one of these paths; path one: [a], path two:"
         " [a]"),
        ("SET n = n + :v", {"S": "1"}, "Invalid UpdateExpression: Incorrect operand type for"
         " operator or function; operator or function: +, operand type: S"),
        ("SET n = n + :v", {"N": "1e-40"}, "Number overflow. Attempting to store a number with"
         " magnitude larger than supported range"),
    ],
)  # fmt: skip
def test_update_refusals(text: str, value: dict[str, Any], message: str) -> None:
    assert refused(updated, text, {":v": value}).message == message
