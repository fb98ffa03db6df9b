"""JSON Web Tokens of HTTP APIs: the issuer's keys, signatures, claims.

Keys come from the issuer's discovery document and are kept for two hours; a key id that nobody
knows makes us look again, but not more often than every ten seconds.
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-jwt-authorizer.html
"""

import asyncio
import base64
import binascii
import logging
from dataclasses import dataclass, field
from typing import Any

import orjson
import urllib3

from cloudlet.wire import outbound

_KEYS_MS = 2 * 3600 * 1000
_AGAIN_MS = 10_000
_ISSUERS_MAX = 256
_TIMEOUT_S = 5.0
_HASHES = {"256": "SHA256", "384": "SHA384", "512": "SHA512"}
_CURVES = {"P-256": ("SECP256R1", "ES256"), "P-384": ("SECP384R1", "ES384")}
_log = logging.getLogger(__name__)
Claims = dict[str, Any]


class InvalidToken(Exception):
    """Says what `WWW-Authenticate` tells as the error's description."""


@dataclass(frozen=True, slots=True)
class JwtAuthorizer:
    issuer: str
    audience: frozenset[str]


@dataclass(slots=True)
class _Issuer:
    keys: dict[str, Any] = field(default_factory=dict)
    read_ms: int = -(1 << 60)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Tokens:
    """Live state: the issuers' keys."""

    def __init__(self) -> None:
        self._issuers: dict[str, _Issuer] = {}

    async def claims(self, token: str, authorizer: JwtAuthorizer, now_ms: int) -> Claims:
        """The token's claims if all is well; raises InvalidToken."""
        header, claims, signed, signature = _parts(token)
        if claims.get("iss") != authorizer.issuer:
            raise InvalidToken("the token has an invalid issuer")
        key = await self._key(authorizer.issuer, str(header.get("kid") or ""), now_ms)
        _check_signature(key, str(header.get("alg")), signed, signature)
        _check_claims(claims, authorizer, now_ms / 1000)
        return claims

    async def _key(self, issuer: str, key_id: str, now_ms: int) -> Any:
        if len(self._issuers) > _ISSUERS_MAX:
            self._issuers.clear()
        known = self._issuers.setdefault(issuer, _Issuer())
        async with known.lock:
            age_ms = now_ms - known.read_ms
            if age_ms > _KEYS_MS or (key_id not in known.keys and age_ms > _AGAIN_MS):
                known.read_ms = now_ms
                try:
                    known.keys = await outbound.in_thread(_read_keys, issuer)
                except (urllib3.exceptions.HTTPError, ValueError, TypeError) as error:
                    _log.warning("issuer %s: %r", issuer, error)
                    known.keys = known.keys if age_ms <= _KEYS_MS else {}
        found = known.keys.get(key_id)
        if found is None:
            raise InvalidToken("unable to find a key for the token")
        return found


def _read_keys(issuer: str) -> dict[str, Any]:
    discovery = _document(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
    if discovery.get("issuer") != issuer:
        raise ValueError(f"the discovery document names another issuer: {discovery.get('issuer')}")
    document = _document(str(discovery.get("jwks_uri")))
    return {str(key.get("kid") or ""): key for key in document.get("keys") or []}


def _document(url: str) -> dict[str, Any]:
    answer = outbound.whole(("GET", url), {}, b"", _TIMEOUT_S)
    assert isinstance(answer.body, bytes)
    document = orjson.loads(answer.body) if answer.status == 200 else None
    if not isinstance(document, dict):
        raise ValueError(f"{url} answers {answer.status}")
    return document


def _parts(token: str) -> tuple[Claims, Claims, bytes, bytes]:
    pieces = token.split(".")
    try:
        header, claims, signature = (_decoded(piece) for piece in pieces)
        parsed = orjson.loads(header), orjson.loads(claims)
    except (ValueError, binascii.Error):
        raise InvalidToken("invalid token format") from None
    if not all(isinstance(document, dict) for document in parsed):
        raise InvalidToken("invalid token format")
    return *parsed, f"{pieces[0]}.{pieces[1]}".encode(), signature


def _decoded(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


def _check_signature(key: Claims, algorithm: str, signed: bytes, signature: bytes) -> None:
    """gateway-006: a key serves the algorithm of its own type only, whatever the token says."""
    from cryptography.exceptions import InvalidSignature

    try:
        if algorithm[:2] == "RS" and key.get("kty") == "RSA" and algorithm[2:] in _HASHES:
            _verify_rsa(key, _HASHES[algorithm[2:]], signed, signature)
        elif key.get("kty") == "EC" and _CURVES.get(key.get("crv", ""), ("", ""))[1] == algorithm:
            _verify_ec(key, _HASHES[algorithm[2:]], signed, signature)
        else:
            raise InvalidToken("the signing method of the token is invalid")
    except (InvalidSignature, ValueError, KeyError):
        raise InvalidToken("invalid signature") from None


def _verify_rsa(key: Claims, digest: str, signed: bytes, signature: bytes) -> None:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding, rsa

    public = rsa.RSAPublicNumbers(_number(key["e"]), _number(key["n"])).public_key()
    public.verify(signature, signed, padding.PKCS1v15(), getattr(hashes, digest)())


def _verify_ec(key: Claims, digest: str, signed: bytes, signature: bytes) -> None:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

    curve = getattr(ec, _CURVES[key["crv"]][0])()
    public = ec.EllipticCurvePublicNumbers(_number(key["x"]), _number(key["y"]), curve).public_key()
    size = (curve.key_size + 7) // 8
    if len(signature) != 2 * size:
        raise InvalidToken("invalid signature")
    r, s = int.from_bytes(signature[:size]), int.from_bytes(signature[size:])
    public.verify(encode_dss_signature(r, s), signed, ec.ECDSA(getattr(hashes, digest)()))


def _number(text: str) -> int:
    return int.from_bytes(_decoded(text))


def _check_claims(claims: Claims, authorizer: JwtAuthorizer, now_s: float) -> None:
    """`exp` must be ahead, `nbf` and `iat` behind us; `aud`, or else `client_id`, must be known."""
    for name in ("exp", "nbf", "iat"):
        if name in claims and not isinstance(claims[name], int | float):
            raise InvalidToken(f"the token has an invalid {name}")
    if claims.get("exp", 0) <= now_s:
        raise InvalidToken("the token has expired")
    if claims.get("nbf", 0) > now_s or claims.get("iat", 0) > now_s:
        raise InvalidToken("the token is not valid yet")
    audience = claims["aud"] if "aud" in claims else claims.get("client_id")
    named = audience if isinstance(audience, list) else [audience]
    if not authorizer.audience & {str(name) for name in named}:
        raise InvalidToken("the token does not have a valid audience")


def scopes(claims: Claims) -> list[str]:
    """The token's `scope`, or else `scp`."""
    value = claims["scope"] if "scope" in claims else claims.get("scp")
    if isinstance(value, list):
        return [str(item) for item in value]
    return str(value).split() if value else []


def claim_texts(claims: Claims) -> dict[str, str]:
    """gateway-007: claims reach a function as text; lists as `[a b]`."""
    return {name: _claim_text(value) for name, value in claims.items()}


def _claim_text(value: Any) -> str:
    if isinstance(value, list):
        return f"[{' '.join(_claim_text(item) for item in value)}]"
    if isinstance(value, str):
        return value
    return orjson.dumps(value).decode()
