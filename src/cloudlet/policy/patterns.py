"""IAM's wildcards: `*` any text, `?` one character. No pattern takes longer than its
text is long.

Patterns may hold policy variables, `${aws:username}` or `${key, 'default'}`; their values are taken
literally, wildcards in them match only themselves. `${*}`, `${?}` and `${$}` are the characters.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
"""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from cloudlet.events.patterns import in_turn

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
    if "?" in pattern:
        return _stepped(pattern)
    first, *others = parts = [part.translate(_UNESCAPED) for part in pattern.split("*")]
    if not others:
        return first.__eq__
    if others == [""]:
        return lambda text: text.startswith(first)
    return lambda text: in_turn(text, parts)


def _stepped(pattern: str) -> Match:
    """A bit for each beginning of the pattern; those that the text so far matches go along, so the
    time is linear in the text, whatever the pattern."""
    letters: dict[str, int] = {}
    size, stars, anything = 0, 0, 0
    for char in pattern:
        if char == "*":
            stars |= 1 << size
            continue
        size += 1
        if char == "?":
            anything |= 1 << size
        else:
            plain = char.translate(_UNESCAPED)
            letters[plain] = letters.get(plain, 0) | 1 << size
    after = {char: bits | anything for char, bits in letters.items()}

    def match(text: str) -> bool:
        reached = 1
        for char in text:
            reached = reached << 1 & after.get(char, anything) | reached & stars
        return bool(reached >> size)

    return match


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
