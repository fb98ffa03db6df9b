"""Regular expressions that users bring. Python's engine backtracks and cannot be interrupted: one
that takes exponential time would hold up everybody, so it is refused before it is ever tried.

A repetition may take exponential time if what it repeats can be cut in several ways: it holds a
repetition or alternatives that begin alike, and every letter that must come may be one of theirs.
"""

import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import combinations, starmap
from re import _constants as c  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import Any

_PATIENCE_S = 2
_ROW_MAX = 4
_MANY = 24  # repetitions: up to so many count as bounded
_LETTERS = 129  # ASCII, and one for all others
_ALL = (1 << _LETTERS) - 1
_REPEATS = (c.MAX_REPEAT, c.MIN_REPEAT)
_LOOKS = (c.ASSERT, c.ASSERT_NOT)
_DOTALL = re.compile(r"\(\?[A-Za-z]*s")
_ANYTHING = (c.IN, [(c.NEGATE, None)])
_SINGLES = (c.LITERAL, c.NOT_LITERAL, c.IN, c.ANY)


class Endless(re.error):
    """An expression, but one that may take exponential time."""


@lru_cache(maxsize=1024)
def compiled(pattern: str, flags: int = 0, row_max: int = _ROW_MAX) -> re.Pattern[str]:
    """Raises re.error for what is no expression, or may take too long. `row_max`: how many parts
    that may be longer or shorter may follow each other and match the same."""
    found = re.compile(pattern, flags)
    try:
        tree = _parser.parse(pattern, flags)
        if flags & re.DOTALL or _DOTALL.search(pattern):
            for sequence in _sequences(tree):
                sequence.data[:] = [_ANYTHING if n[0] is c.ANY else n for n in sequence]
        longest = max(map(_row, _sequences(tree)))
        if longest > row_max or any(map(_is_endless, _repeated(tree))):
            raise Endless("what is repeated may be cut in too many ways", pattern)
    except RecursionError:
        raise re.error("nested too deep", pattern) from None
    return found


def matches(pattern: str, text: str, how: str = "fullmatch") -> bool:
    """`how` is a function of `re`. Where it may take long, another process finds out."""
    try:
        return getattr(compiled(pattern), how)(text) is not None
    except Endless:
        program = f"import re, sys; sys.exit(not re.{how}(*sys.argv[1:]))"
        command = [sys.executable, "-I", "-S", "-c", program, pattern, text]
        try:
            return not subprocess.run(command, timeout=_PATIENCE_S, check=False).returncode
        except (subprocess.TimeoutExpired, ValueError, OSError) as error:
            raise re.error("takes too long", pattern) from error


def _children(kind: Any, value: Any) -> Iterable[Any]:
    """The sequences below a node."""
    if kind is c.BRANCH:
        return list(value[1])
    if kind in _REPEATS or kind is c.SUBPATTERN or kind in _LOOKS:
        return [value[-1]]
    return [part for part in value[1:] if part] if kind is c.GROUPREF_EXISTS else []


def _repeated(sequence: Any) -> Iterator[Any]:
    """What is repeated without a bound, at any depth."""
    for kind, value in sequence:
        if kind in _REPEATS and value[1] > _MANY:
            yield value[2]
        for child in _children(kind, value):
            yield from _repeated(child)


def _sequences(sequence: Any) -> Iterator[Any]:
    yield sequence
    for kind, value in sequence:
        for child in _children(kind, value):
            yield from _sequences(child)


def _row(sequence: Any) -> int:
    """`a?a?a?…`: as many ways to cut a text, without a repetition around them."""
    longest, length, before = 0, 0, 0
    for node in sequence:
        loose = _loose([node])
        length = length + 1 if loose & before else min(1, loose)
        longest, before = max(longest, length), loose
    return longest


def _is_endless(body: Any) -> bool:
    body = _bare(body)
    loose = _loose(body)
    fixed = [_mask([node]) for node in body if node[0] in _SINGLES]
    return bool(loose) and all(mask & loose for mask in fixed)


def _bare(sequence: Any) -> Any:
    """Without the groups that hold all of it."""
    while len(sequence) == 1 and sequence[0][0] is c.SUBPATTERN:
        sequence = sequence[0][1][-1]
    return sequence


def _loose(sequence: Any) -> int:
    """The letters of what may be longer or shorter, or come about in several ways."""
    mask = 0
    for kind, value in sequence:
        if kind in _REPEATS and value[1] > value[0]:
            mask |= _mask(value[2])
        if kind is c.BRANCH and any(starmap(_is_alike, combinations(value[1], 2))):
            mask |= _mask([(kind, value)]) or _ALL
        for child in _children(kind, value):
            mask |= _loose(child)
    return mask


def _is_alike(left: Any, right: Any) -> bool:
    """Whether both alternatives may match the same text, or one the beginning of the other's."""
    for one, other in zip(left, right, strict=False):
        if not (one[0] in _SINGLES and other[0] in _SINGLES):
            return True
        if not _mask([one]) & _mask([other]):
            return False
    return True


def _mask(sequence: Any) -> int:
    """The letters that occur in what the sequence matches."""
    mask = 0
    for kind, value in sequence:
        if kind in _SINGLES:
            mask |= _letters(kind, value)
        elif kind in (c.GROUPREF, c.GROUPREF_EXISTS):
            mask = _ALL
        elif kind not in _LOOKS:
            for child in _children(kind, value):
                mask |= _mask(child)
    return mask


@lru_cache(maxsize=4096)
def _letter(code: int) -> int:
    """Both cases of it: flags are not looked at."""
    same = {chr(code).lower(), chr(code).upper(), chr(code)}
    return sum(1 << n for n in {min(ord(letter[0]), _LETTERS - 1) for letter in same})


def _letters(kind: Any, value: Any) -> int:
    if kind is c.LITERAL:
        return _letter(value)
    if kind is c.NOT_LITERAL:
        return _ALL & ~(1 << value if value < _LETTERS - 1 else 0)
    if kind is c.ANY:
        return _ALL & ~_letter(ord("\n"))
    mask, is_negated = 0, False
    for inner, what in value:
        is_negated |= inner is c.NEGATE
        if inner is c.LITERAL:
            mask |= _letter(what) if not is_negated else 1 << min(what, _LETTERS - 1)
        elif inner is c.RANGE:
            codes = range(what[0], min(what[1], _LETTERS - 1) + 1)
            for code in codes or (what[0],):
                mask |= _letter(code) if not is_negated else 1 << min(code, _LETTERS - 1)
        elif inner is c.CATEGORY:
            mask |= _category(what)
    return _ALL & ~mask | 1 << _LETTERS - 1 if is_negated else mask


@lru_cache(maxsize=16)
def _category(what: Any) -> int:
    sign = {"DIGIT": r"\d", "SPACE": r"\s", "WORD": r"\w"}[str(what).rpartition("_")[2]]
    test = re.compile(sign, re.ASCII)
    mask = sum(1 << n for n in range(_LETTERS - 1) if test.match(chr(n))) | 1 << _LETTERS - 1
    return _ALL & ~mask | 1 << _LETTERS - 1 if "NOT" in str(what) else mask
