"""Ids, secrets and the public addresses built from them."""

import base64
import hashlib
import hmac
import os
import secrets
import string
from urllib.parse import quote

from lambdashare_core.problems import Problem, not_found
from lambdashare_core.web import Request

_LETTERS = string.digits + string.ascii_letters
ID_LENGTH = 22  # of 62 letters: 131 bits


def new_id() -> str:
    """Letters and digits only: survives double clicks, shells and file names."""
    return "".join(secrets.choice(_LETTERS) for _ in range(ID_LENGTH))


def share_id(text: str) -> str:
    if len(text) != ID_LENGTH or not all(letter in _LETTERS for letter in text):
        raise not_found("There is no such share.")
    return text


def file_number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 5 or text.startswith("0"):
        raise not_found("There is no such file in this share.")
    return int(text)


def new_token() -> tuple[str, str]:
    """An owner token and the digest of it, which alone is stored."""
    token = secrets.token_urlsafe(24)
    return token, token_digest(token)


def token_digest(token: str) -> str:
    return base64.b64encode(hashlib.sha256(token.encode()).digest()).decode()


def require_owner(request: Request, digest: str) -> None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        detail = "Send the share's owner token: 'Authorization: Bearer …'."
        raise Problem(401, "unauthorized", detail, headers={"www-authenticate": "Bearer"})
    if not hmac.compare_digest(token_digest(token.strip()), digest):
        raise Problem(403, "forbidden", "That is not this share's owner token.")


def origin(request: Request | None) -> str:
    """PUBLIC_URL, or what the request says of the way it came."""
    fixed = os.environ.get("PUBLIC_URL", "").rstrip("/")
    if fixed or request is None:
        return fixed
    host = request.headers.get("x-forwarded-host") or request.headers.get("host", request.domain)
    scheme = request.headers.get("x-forwarded-proto", "https").split(",")[0].strip()
    return f"{scheme}://{host}"


def share_url(base: str, share: str) -> str:
    return f"{base}/s/{share}"


def file_url(base: str, share: str, n: int, name: str) -> str:
    return f"{base}/s/{share}/{n}/{quote(name.rsplit('/', 1)[-1], safe='')}"
