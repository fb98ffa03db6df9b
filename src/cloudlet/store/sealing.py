"""Encryption at rest: AES-256-GCM in chunks, so that any range can be read by itself.

Every blob has a data key of its own; its chunks' numbers therefore are nonces that are never used
twice. Data keys are kept beside the metadata, wrapped by another key: the data directory's master
key, one derived from it, or one that a client brings with each request.
https://csrc.nist.gov/pubs/sp/800/38/d/final
"""

import base64
import hmac
import os
from collections import deque
from collections.abc import Callable
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from cloudlet.store.integrity import Damaged, sync_folder

CHUNK_BYTES = 256 << 10
SEALED_BYTES = CHUNK_BYTES + 16  # with its tag
KEY_BYTES = 32
_NONCE_BYTES = 12
_AT_ONCE = 16


class Wrapper:
    """A key that wraps data keys, or seals what is small."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)
        self._drawn: deque[bytes] = deque()  # for keys to come, each with its nonce

    def new_key(self) -> "DataKey":
        """From any thread. The system is asked for many at once: each time gives up the GIL."""
        while True:
            try:
                drawn = self._drawn.popleft()
            except IndexError:
                size = KEY_BYTES + _NONCE_BYTES
                block = os.urandom(size * _AT_ONCE)
                self._drawn.extend(block[at : at + size] for at in range(0, len(block), size))
            else:
                key, nonce = drawn[:KEY_BYTES], drawn[KEY_BYTES:]
                return DataKey(key, self._wrapped(key, nonce))

    def wrap(self, key: bytes) -> str:
        return self._wrapped(key, os.urandom(_NONCE_BYTES))

    def _wrapped(self, key: bytes, nonce: bytes) -> str:
        return base64.b64encode(nonce + self._cipher.encrypt(nonce, key, None)).decode()

    def unwrap(self, wrapped: str) -> "DataKey":
        return DataKey(self.open(base64.b64decode(wrapped)), wrapped)

    def seal(self, data: bytes) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, data, None)

    def open(self, sealed: bytes) -> bytes:
        try:
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], None)
        except InvalidTag as error:
            raise Damaged("was encrypted under another key") from error


class DataKey:
    """Seals and opens the chunks of one blob. `wrapped` is what metadata keeps of it."""

    def __init__(self, key: bytes, wrapped: str) -> None:
        self.key = key
        self.wrapped = wrapped
        self._cipher = AESGCM(key)

    def seal(self, number: int, chunk: bytes | memoryview) -> bytes:
        return self._cipher.encrypt(number.to_bytes(_NONCE_BYTES, "big"), chunk, None)

    def open(self, number: int, sealed: bytes | memoryview) -> bytes:
        try:
            return self._cipher.decrypt(number.to_bytes(_NONCE_BYTES, "big"), sealed, None)
        except InvalidTag as error:
            raise Damaged("is damaged") from error


class Master:
    """The key that everything else rests on, in a file that only its owner reads."""

    def __init__(self, path: Path) -> None:
        self._key = _load(path)
        self.wrapper = Wrapper(self._key)
        self.fingerprint = hmac.digest(self._key, b"fingerprint", "sha256").hex()

    def derived(self, name: str) -> Wrapper:
        return Wrapper(hmac.digest(self._key, name.encode(), "sha256"))


def _load(path: Path) -> bytes:
    key = bytes.fromhex(kept(path, lambda: os.urandom(KEY_BYTES).hex().encode()).decode())
    if len(key) != KEY_BYTES:
        raise ValueError(f"{path} is not a key of {KEY_BYTES} bytes")
    return key


def kept(path: Path, make: Callable[[], bytes]) -> bytes:
    """A secret in a file that only its owner reads. It is made where there is none: durable before
    anything is sealed or signed with it."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".new")
        draft.unlink(missing_ok=True)
        file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(file, make())
            os.fsync(file)
        finally:
            os.close(file)
        draft.rename(path)
        sync_folder(path.parent)
    return path.read_bytes()
