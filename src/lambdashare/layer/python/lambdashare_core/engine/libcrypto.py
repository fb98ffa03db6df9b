"""MD5, SHA-1, SHA-256 and SHA-512 whose state can be saved, by ctypes on OpenSSL's libcrypto.

hashlib cannot export a state. libcrypto's low-level functions keep theirs in a plain structure
without pointers: saving is copying it. They are deprecated, so `version` is part of every
saved state, `self_test` runs before first use, and whoever finds them wanting starts afresh with
hashlib. At multiples of the block size (64 or 128 bytes) a state holds no byte of the input.
https://docs.openssl.org/3.0/man3/SHA256_Init/
"""

import ctypes
import hashlib
import hmac
from functools import cache

# name → (functions' prefix, size of the C structure, digest size)
STRUCTURES = {
    "md5": ("MD5", 92, 16),
    "sha1": ("SHA1", 96, 20),
    "sha256": ("SHA256", 112, 32),
    "sha512": ("SHA512", 216, 64),
}
_LIBRARIES = ("libcrypto.so.3", "libcrypto.so", "libcrypto.3.dylib", "libcrypto.so.1.1")


@cache
def library() -> ctypes.CDLL | None:
    for name in _LIBRARIES:
        try:
            found = ctypes.CDLL(name)
        except OSError:
            continue
        if all(hasattr(found, f"{prefix}_Init") for prefix, _, _ in STRUCTURES.values()):
            return found
    return None


@cache
def version() -> str:
    """The library that states belong to; "" if there is none that passes the self-test."""
    found = library()
    if found is None:
        return ""
    found.OpenSSL_version.restype = ctypes.c_char_p
    named = found.OpenSSL_version(0)
    return named.decode("ascii", "replace") if self_test() else ""


class MidState:
    """A running sum. `state()` and `MidState(name, state)` carry it to another process."""

    def __init__(self, name: str, state: bytes | None = None) -> None:
        prefix, size, self._digest_size = STRUCTURES[name]
        found = library()
        if found is None:
            raise RuntimeError("there is no usable libcrypto")
        self._update = getattr(found, f"{prefix}_Update")
        self._final = getattr(found, f"{prefix}_Final")
        self._context = ctypes.create_string_buffer(size)
        if state is None:
            getattr(found, f"{prefix}_Init")(self._context)
        elif len(state) != size:
            raise ValueError(f"a state of {name} has {size} bytes, not {len(state)}")
        else:
            self._context.raw = state

    def update(self, data: bytes) -> None:
        # ctypes releases the interpreter's lock during the call
        if not self._update(self._context, data, ctypes.c_size_t(len(data))):
            raise RuntimeError("libcrypto refused the data")

    def digest(self) -> bytes:
        spent = ctypes.create_string_buffer(self._context.raw, len(self._context))
        digest = ctypes.create_string_buffer(self._digest_size)
        self._final(digest, spent)
        return digest.raw

    def state(self) -> bytes:
        return self._context.raw


def self_test() -> bool:
    """Whether sums taken over in the middle equal hashlib's."""
    data = bytes(range(256)) * 5
    return all(
        hmac.compare_digest(_in_two(name, data, 640), hashlib.new(name, data).digest())
        for name in STRUCTURES
    )


def _in_two(name: str, data: bytes, cut: int) -> bytes:
    first = MidState(name)
    first.update(data[:cut])
    second = MidState(name, first.state())
    second.update(data[cut:])
    return second.digest()
