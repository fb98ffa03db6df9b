"""Text beyond ASCII in S3's response headers, as AWS sends it.

User metadata becomes RFC 2047's encoded words: "Q" where most of it is ASCII, else "B", long ones
cut in halves. Of other headers, what ISO 8859-1 doesn't have becomes a space.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html
"""

import base64

_WORD_CHARACTERS_MAX = 63
_ESCAPED = b"=_?"


def of_metadata(text: str) -> str:
    """s3-032: control characters count as foreign ones, too."""
    foreign = sum(character >= "\x7f" or _is_control(character) for character in text)
    return _words(text, as_base64=len(text) <= 2 * foreign) if foreign else text


def of_header(text: str) -> str:
    return "".join(c if c <= "\xff" else " " for c in text)


def _is_control(character: str) -> bool:
    return character < " " and character not in "\r\n\t"


def _words(text: str, as_base64: bool) -> str:
    word = _base64(text) if as_base64 else _quoted(text)
    if len(word) > _WORD_CHARACTERS_MAX and len(text) > 1:
        middle = len(text) // 2
        return f"{_words(text[:middle], as_base64)} {_words(text[middle:], as_base64)}"
    return f"=?UTF-8?{'B' if as_base64 else 'Q'}?{word}?="


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _quoted(text: str) -> str:
    return "".join(
        "_"
        if byte == 0x20
        else chr(byte)
        if 0x20 < byte < 0x7F and byte not in _ESCAPED
        else f"={byte:02X}"
        for byte in text.encode()
    )
