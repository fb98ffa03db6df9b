"""Filter patterns: no text breaks them, and they find what a plain reading of them finds."""

import json
import operator
from fnmatch import fnmatchcase
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudlet.errors import AwsError
from cloudlet.monitoring.filter_patterns import compile_pattern

_WORD = st.text("abAB_1", min_size=1, max_size=3)
_FIELD = st.text("ab1.-", min_size=1, max_size=4)
_COMPARE = {"=": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le,
            ">": operator.gt, ">=": operator.ge}  # fmt: skip
_SCALAR = st.none() | st.booleans() | st.integers(-5, 5) | st.text("ab*", max_size=3)


def finds(pattern: str, message: str) -> bool:
    return compile_pattern(pattern)(message) is not None


@given(st.text(max_size=60) | st.text("{}[]()$.=!<>&|%\"'?-*, ab1IS NULL", max_size=60), st.text())
def test_no_text_breaks_a_pattern(pattern: str, message: str) -> None:
    try:
        found = compile_pattern(pattern)(message)
    except AwsError as error:
        assert error.code == "InvalidParameterException"
    else:
        assert found is None or isinstance(found.extracted(), dict)


@given(st.lists(_WORD, max_size=3), st.lists(_WORD, max_size=2), st.lists(_WORD), st.booleans())
def test_terms(wanted: list[str], unwanted: list[str], words: list[str], quoted: bool) -> None:
    message = " ".join(words)
    terms = [f'"{word}"' if quoted else word for word in wanted]
    pattern = " ".join([*terms, *(f"-{word}" for word in unwanted)])
    expected = all(w in message for w in wanted) and not any(w in message for w in unwanted)
    assert finds(pattern, message) is expected


@given(st.lists(_WORD, min_size=1, max_size=3), _WORD, st.lists(_WORD))
def test_choices_count_only_alone(either: list[str], wanted: str, words: list[str]) -> None:
    """monitoring-001: ?terms beside others are ignored."""
    message = " ".join(words)
    choices = " ".join(f"?{word}" for word in either)
    assert finds(choices, message) is any(word in message for word in either)
    assert finds(f"{choices} {wanted}", message) is (wanted in message)


@given(_SCALAR, st.sampled_from(sorted(_COMPARE)), st.integers(-5, 5))
def test_numbers_in_documents(value: Any, mark: str, bound: int) -> None:
    is_number = isinstance(value, int) and not isinstance(value, bool)
    expected = mark == "!=" if not is_number else _COMPARE[mark](value, bound)
    assert finds(f"{{ $.a.b {mark} {bound} }}", json.dumps({"a": {"b": value}})) is expected
    assert not finds(f"{{ $.a.b {mark} {bound} }}", '{"a": {}}')


@given(_SCALAR, st.text("ab*", min_size=1, max_size=3))
def test_texts_in_documents(value: Any, wanted: str) -> None:
    message = json.dumps({"a": [value]})
    if isinstance(value, str):
        assert finds(f'{{ $.a[0] = "{wanted}" }}', message) is fnmatchcase(value, wanted)
    assert finds("{ $.a[0] IS NULL }", message) is (value is None)
    assert finds("{ $.a[*] IS TRUE }", message) is (value is True)
    assert finds("{ $.a[0] NOT EXISTS }", message) is False
    assert finds("{ $.a[1] NOT EXISTS }", message) is True


@given(st.lists(st.booleans(), min_size=3, max_size=3), st.sampled_from(["&&", "||"]),
       st.sampled_from(["&&", "||"]))  # fmt: skip
def test_conditions_are_joined(truth: list[bool], first: str, second: str) -> None:
    message = json.dumps({f"v{n}": value for n, value in enumerate(truth)})
    words = {"&&": "and", "||": "or"}
    a, b, c = (f"$.v{n} IS TRUE" for n in range(3))
    expected = eval(f"{truth[0]} {words[first]} {truth[1]} {words[second]} {truth[2]}")
    assert finds(f"{{ {a} {first} {b} {second} {c} }}", message) is expected
    grouped = eval(f"{truth[0]} {words[first]} ({truth[1]} {words[second]} {truth[2]})")
    assert finds(f"{{ {a} {first} ({b} {second} {c}) }}", message) is grouped


@given(st.lists(_FIELD, min_size=1, max_size=6), st.integers(0, 7), st.integers(0, 3))
def test_fields_between_spaces(fields: list[str], before: int, after: int) -> None:
    message = " ".join(fields)
    names = [f"f{n}" for n in range(before)]
    if names:
        found = compile_pattern(f"[{', '.join(names)}]")(message)
        assert (found is not None) is (len(fields) == len(names))
        if found is not None:
            assert found.extracted() == {f"${n}": v for n, v in zip(names, fields, strict=True)}
    last = [f"l{n}" for n in range(after)]
    assert finds(f"[{', '.join([*names, '...', *last])}]", message) is (
        len(fields) >= before + after
    )


@pytest.mark.parametrize(
    ("pattern", "message", "expected"),
    [
        ("%[45]\\d\\d%", "status 404", True),
        ("%^[hc]at%", "that", False),
        ('"say \\"hi\\""', 'say "hi"', True),
        ("[ip=%127\\.0\\.0\\.[1-9]%, ..., request =*.html*, status = 4* || status = 5*, n > 9]",
         '127.0.0.1 frank [10/Oct 13:25] "GET /a.html HTTP/1.0" 503 10', True),
        ("[ip, n != 404, ...]", "1.1.1.1 404", False),
        ('{ $.ip != 10.* && $.tags[*] = "x" }', '{"ip": "11.1", "tags": ["y", "x"]}', True),
        ("{ $.a-b.c_d = 1e1 }", '{"a-b": {"c_d": 10}}', True),
        ("{ $['a.b'] EXISTS }", '{"a.b": null}', True),
        ("{ $.code = 4* }", '{"code": 404}', True),
        ('{ $.code = "404" }', '{"code": 404}', False),
        ("{ $.* = 1 }", '{"x": 1}', True),
        ("{ $.x = 1 }", "not JSON", False),
    ],
)  # fmt: skip
def test_patterns_from_aws_documentation(pattern: str, message: str, expected: bool) -> None:
    assert finds(pattern, message) is expected


@pytest.mark.parametrize(
    "pattern",
    ["a-b", '"open', "%(a)%", "%!%", "{ $.a }", "{ $.a > x }", "{ a = 1 }", "{ $.a = 1",
     "{ " + "(" * 400 + "$.a = 1 }", "[a, ..., ...]", "[a,]", "[$.a]",
     "{ $.a = %x% || $.b = %x% || $.c = %x% }"],
)  # fmt: skip
def test_wrong_patterns_are_refused(pattern: str) -> None:
    with pytest.raises(AwsError):
        compile_pattern(pattern)
