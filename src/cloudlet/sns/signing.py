"""The key that this cloudlet signs notifications with, and its certificate.

Both are made at the first use, in one file of the data directory that only its owner reads; all
accounts share them. https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html
"""

import base64
import hashlib
import threading
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from cloudlet.store.sealing import kept

_FILE = "sns-signing.pem"
_BITS = 2048
_DAYS = 3650
_HASHES: dict[str, hashes.HashAlgorithm] = {"1": hashes.SHA1(), "2": hashes.SHA256()}


class Signer:
    """Signs texts, in any thread. Signing takes a millisecond, so that of a message is kept for
    its next subscription."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._loaded: tuple[rsa.RSAPrivateKey, bytes] | None = None
        self.sign = lru_cache(maxsize=512)(self._sign)

    def _sign(self, text: str, version: str) -> str:
        signature = self._load()[0].sign(text.encode(), padding.PKCS1v15(), _HASHES[version])
        return base64.b64encode(signature).decode()

    @property
    def certificate(self) -> bytes:
        return self._load()[1]

    @property
    def certificate_path(self) -> str:
        digest = hashlib.sha256(self.certificate).hexdigest()[:32]
        return f"/SimpleNotificationService-{digest}.pem"

    def _load(self) -> tuple[rsa.RSAPrivateKey, bytes]:
        with self._lock:
            if self._loaded is None:
                data = kept(self._path, _made)
                key = serialization.load_pem_private_key(data, None)
                assert isinstance(key, rsa.RSAPrivateKey)
                certificate = x509.load_pem_x509_certificate(data)
                pem = certificate.public_bytes(serialization.Encoding.PEM)
                self._loaded = key, pem
            return self._loaded


@lru_cache(maxsize=8)
def signer(folder: Path) -> Signer:
    """The one of a data directory."""
    return Signer(folder / _FILE)


def _made() -> bytes:
    key = rsa.generate_private_key(65537, _BITS)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=_DAYS))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private + certificate.public_bytes(serialization.Encoding.PEM)
