"""Texts as people see them: tidied, and counted in graphemes.

The rules of https://www.unicode.org/reports/tr29/ that matter for what people type: accents, emoji
with modifiers and joiners, flags. Composed Hangul is one code point each.
"""

import unicodedata

GRAPHEMES_MAX = 280
_JOINER = "\u200d"
_FLAGS = range(0x1F1E6, 0x1F200)
_MODIFIERS = range(0x1F3FB, 0x1F400)
_TAGS = range(0xE0020, 0xE0080)
_ODD = ("Cc", "Cn", "Co", "Cs")  # categories of what nobody types


def cleaned(text: str) -> str:
    """Composed, without control characters but for line breaks, without blanks around it."""
    composed = unicodedata.normalize("NFC", text.replace("\r\n", "\n"))
    kept = [c for c in composed if c == "\n" or unicodedata.category(c) not in _ODD]
    return "".join(kept).strip()


def graphemes(text: str) -> int:
    count, flags, before = 0, 0, ""
    for letter in text:
        flags = flags + 1 if ord(letter) in _FLAGS else 0
        joins = before == _JOINER or (flags and flags % 2 == 0)
        count += not (before and (joins or _extends(letter)))
        before = letter
    return count


def _extends(letter: str) -> bool:
    if letter == _JOINER or unicodedata.category(letter) in ("Mn", "Me", "Mc"):
        return True
    return ord(letter) in _MODIFIERS or ord(letter) in _TAGS
