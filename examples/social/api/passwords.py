"""Passwords are kept as scrypt hashes with a salt each; costs stand beside the hash.

So a higher cost can be set for new users while the old hashes stay good.
https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html
"""

import base64
import hashlib
import hmac
import os

BLOCK, PARALLEL = 8, 3


def hashed(password: str) -> str:
    cost, salt = int(os.environ["PASSWORD_COST"]), os.urandom(16)
    return "$".join(("scrypt", str(cost), _text(salt), _text(_scrypt(password, salt, cost))))


def is_right(password: str, kept: str | None) -> bool:
    """`kept` None: no such user. That takes as long as a wrong password."""
    if kept is None:
        hashed(password)
        return False
    _, cost, salt, digest = kept.split("$")
    found = _scrypt(password, base64.b64decode(salt), int(cost))
    return hmac.compare_digest(found, base64.b64decode(digest))


def _scrypt(password: str, salt: bytes, cost: int) -> bytes:
    memory = 2 * 128 * 2**cost * BLOCK
    return hashlib.scrypt(
        password.encode(), salt=salt, n=2**cost, r=BLOCK, p=PARALLEL, maxmem=memory
    )


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
