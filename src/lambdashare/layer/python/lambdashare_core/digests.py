"""The seven sums: their names, lengths and spellings."""

import base64
import binascii
import re

from lambdashare_core.problems import malformed

# in bytes
LENGTHS = {
    "md5": 16,
    "sha1": 20,
    "sha256": 32,
    "sha512": 64,
    "crc32": 4,
    "crc64nvme": 8,
    "blake3": 32,
}
MIN_PREFIX = 12
WORD = 16  # bytes; base64 of fewer could be any word, unless it is padded
PARTITION = 8  # hex digits: as many as the shortest sum has
_HEX = re.compile(r"[0-9a-f]+")


def algorithms_of(digest: str) -> list[str]:
    return [name for name, length in LENGTHS.items() if length * 2 == len(digest)]


def parse(text: str) -> str:
    """Hex (whole, or a prefix of 12 or more digits) or base64 → lower-case hex."""
    lowered = text.lower()
    if _HEX.fullmatch(lowered) and (
        algorithms_of(lowered) or MIN_PREFIX <= len(lowered) <= LENGTHS["sha512"] * 2
    ):
        return lowered
    raw = None if _HEX.fullmatch(lowered) else _base64(text)
    if raw is not None and len(raw) in LENGTHS.values() and (len(raw) >= WORD or text[-1] == "="):
        return raw.hex()
    raise malformed(
        f"A digest is 8, 16, 32, 40, 64 or 128 hex digits, a prefix of {MIN_PREFIX} or more of"
        " them, or base64."
    )


def _base64(text: str) -> bytes | None:
    padded = text.replace("-", "+").replace("_", "/").rstrip("=")
    padded += "=" * (-len(padded) % 4)
    try:
        return base64.b64decode(padded, validate=True)
    except (binascii.Error, ValueError):
        return None


def sha256_hex(value: object) -> str | None:
    """A SHA-256 in hex, in lower case; None if it is not one."""
    if isinstance(value, str) and len(value) == 64 and _HEX.fullmatch(value.lower()):
        return value.lower()
    return None


def sha256_base64(value: object) -> str | None:
    """A SHA-256 in base64 as S3 wants it; None if it is not one."""
    if not isinstance(value, str) or len(value) != 44:
        return None
    raw = _base64(value)
    return value if raw is not None and len(raw) == 32 else None


def repr_digest(digests: dict[str, str]) -> str:
    """RFC 9530's `Repr-Digest`. https://www.rfc-editor.org/rfc/rfc9530"""
    named = {"sha-256": "sha256", "sha-512": "sha512"}
    encoded = {
        name: base64.b64encode(bytes.fromhex(digests[algorithm])).decode()
        for name, algorithm in named.items()
        if algorithm in digests
    }
    return ", ".join(f"{name}=:{value}:" for name, value in encoded.items())


def row_key(digest: str, algorithm: str, share: str, n: int) -> dict[str, str]:
    """The key of a row of HashSums: any sum and any prefix is found by one query."""
    return {"prefix": digest[:PARTITION], "entry": f"{digest}#{algorithm}#{share}#{n:05d}"}
