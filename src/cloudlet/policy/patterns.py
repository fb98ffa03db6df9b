"""IAM's wildcards: `*` any text, `?` one character. No regular expression ever backtracks here.

Patterns may hold policy variables, `${aws:username}` or `${key, 'default'}`; their values are taken
literally, wildcards in them match only themselves. `${*}`, `${?}` and `${$}` are the characters.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
"""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

Match = Callable[[str], bool]
Values = Mapping[str, Any]  # condition keys in lower case
_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_DEFAULT = re.compile(r"\s*([^,\s]+)\s*(?:,\s*'(.*)'\s*)?", re.DOTALL)
# Stand-ins for literal wildcards while a pattern is compiled; not valid in any ARN or value.
_ESCAPED = {"*": "\ue000", "?": "\ue001", "$": "$"}
_UNESCAPED = str.maketrans({"\ue000": "*", "\ue001": "?"})


@lru_cache(maxsize=4096)
def glob(pattern: str) -> Match:
    """A test for the whole text."""
    if pattern == "*":
        return lambda text: True
    first, *others = pattern.split("*")
    if "?" not in pattern and not others:
        return first.translate(_UNESCAPED).__eq__
    if "?" not in pattern and others == [""]:
        prefix = first.translate(_UNESCAPED)
        return lambda text: text.startswith(prefix)
    if not others:
        whole = _segment(first)
        return lambda text: whole.fullmatch(text) is not None
    return _segmented(first, others[:-1], others[-1])


def _segmented(first: str, middle: list[str], last: str) -> Match:
    head, tail = _segment(first), _segment(last)
    between = [_segment(part) for part in middle if part]
    tail_length = len(last)

    def match(text: str) -> bool:
        found = head.match(text)
        if found is None:
            return False
        position, end = found.end(), len(text) - tail_length
        if position > end or tail.match(text, end) is None:
            return False
        for part in between:  # each as early as possible: then the rest has the most room
            found = part.search(text, position, end)
            if found is None:
                return False
            position = found.end()
        return True

    return match


def _segment(part: str) -> re.Pattern[str]:
    text = "".join("." if c == "?" else re.escape(c.translate(_UNESCAPED)) for c in part)
    return re.compile(text, re.DOTALL)


def has_variables(pattern: str) -> bool:
    return "${" in pattern


def substitute(pattern: str, values: Values) -> str | None:
    """The pattern with its variables' values; None if one has none: then it matches nothing."""
    missing = False

    def value(found: re.Match[str]) -> str:
        nonlocal missing
        name = found.group(1)
        if name in _ESCAPED:
            return _ESCAPED[name]
        parts = _DEFAULT.fullmatch(name)
        known = values.get(parts.group(1).lower()) if parts else None
        if known is None and parts:
            known = parts.group(2)
        if known is None or isinstance(known, list | tuple):
            missing = True
            return ""
        return literal(str(known))

    end = pattern.rfind("}") + 1  # behind it no search for the end of a variable ends early
    text = _VARIABLE.sub(value, pattern[:end]) + pattern[end:]
    return None if missing else text


def literal(text: str) -> str:
    """A pattern that matches just this text."""
    return text.replace("*", _ESCAPED["*"]).replace("?", _ESCAPED["?"])


def unescape(text: str) -> str:
    """A substituted text where no wildcards count."""
    return text.translate(_UNESCAPED)


@lru_cache(maxsize=4096)
def arn(pattern: str) -> Match:
    """ArnLike: each of the six parts is matched on its own; `*` alone is any ARN."""
    if pattern == "*":
        return glob(pattern)
    parts = [glob(part) for part in pattern.split(":", 5)]

    def match(text: str) -> bool:
        given = text.split(":", 5)
        return len(given) == len(parts) == 6 and all(
            part(item) for part, item in zip(parts, given, strict=True)
        )

    return match
