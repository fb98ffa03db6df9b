"""Ids of posts are ULIDs: 48 bits of time, 80 of chance, as 26 letters that sort by time.

https://github.com/ulid/spec
"""

import os
import re
import time

LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_ID = re.compile(f"[0-7][{LETTERS}]{{25}}")


def new() -> str:
    number = time.time_ns() // 1_000_000 << 80 | int.from_bytes(os.urandom(10))
    return "".join(LETTERS[number >> shift & 31] for shift in range(125, -1, -5))


def is_one(text: str) -> bool:
    return _ID.fullmatch(text) is not None


def moment_ms(post_id: str) -> int:
    number = 0
    for letter in post_id[:10]:
        number = number << 5 | LETTERS.index(letter)
    return number
