"""Hashtags of a text, as people mean them.

A tag is `#` (or its wide twin ＃) and a run of letters, marks, digits and underscores, of which one
is a letter; joiners belong to it inside words of Persian or Hindi. `a#b`, `&#39;` and `/#part` are
no tags. Upper and lower case, and composed and decomposed letters, are one tag: NFC of the
case-folded text. Who shouts a tag twice in a post has said it once.
"""

import unicodedata
from itertools import takewhile

LENGTH_MAX = 100
_SIGNS = "#＃"
_JOINERS = "\u200c\u200d"
_NEVER_AFTER = "&/" + _SIGNS


def hashtags(text: str) -> set[str]:
    text = unicodedata.normalize("NFC", text)
    found = (_tag(text, place) for place, sign in enumerate(text) if sign in _SIGNS)
    return {tag for tag in found if tag}


def _tag(text: str, place: int) -> str:
    """Empty if this sign begins none."""
    before = text[place - 1] if place else " "
    if before in _NEVER_AFTER or _belongs(before):
        return ""
    word = "".join(takewhile(_belongs, text[place + 1 :])).strip(_JOINERS)
    if len(word) > LENGTH_MAX or not any(letter.isalpha() for letter in word):
        return ""
    return fold(word)


def fold(word: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", word).casefold())


def _belongs(letter: str) -> bool:
    return letter in "_" + _JOINERS or unicodedata.category(letter)[0] in "LMN"
