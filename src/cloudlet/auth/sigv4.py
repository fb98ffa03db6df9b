"""AWS Signature Version 4: strings in, verdict out.

Theory of operation. A signed request names a credential (access key and *scope*: day, region,
service), a time, the headers it signs and a signature, either in the Authorization header or in
the query (presigned). We

1. read these parts (`_Claim`), refusing what doesn't parse, another region or service, a clock
   too far off, a presigned URL past its time;
2. look the access key up; its session token must be the one it was issued with;
3. build the *canonical request* from what came over the wire: method, path, sorted query, signed
   headers, hash of the payload; and from it the *string to sign*;
4. compute HMAC-SHA256 over it with the *signing key*, derived from the secret and the scope (and
   cached: it changes once a day), and compare in constant time.

Two dialects of canonical form exist. S3 signs the path as it is sent and lets the payload be
unsigned or signed chunk by chunk (`chunked` continues from our signature); every other service
normalises the path, encodes it once more, and always signs the whole body, which is therefore read
here. Percent-encoding is not unique: when the bytes as received don't match, we try once more with
the path and query as AWS would encode them, which means the same.

Nothing of a request may be trusted before step 4, and steps 1-3 never change anything.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

import hashlib
import hmac
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import NamedTuple, Protocol
from urllib.parse import parse_qsl, quote, unquote, unquote_plus

from cloudlet.auth import refusals
from cloudlet.auth.refusals import Dialect
from cloudlet.call import Caller
from cloudlet.errors import AwsError, NotImplementedByCloudlet
from cloudlet.exchange import Request

ALGORITHM = "AWS4-HMAC-SHA256"
ASYMMETRIC = "AWS4-ECDSA-P256-SHA256"
UNSIGNED = "UNSIGNED-PAYLOAD"
SIGNED_CHUNKS = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
SIGNED_CHUNKS_TRAILER = f"{SIGNED_CHUNKS}-TRAILER"
UNSIGNED_CHUNKS_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
STREAMING = (SIGNED_CHUNKS, SIGNED_CHUNKS_TRAILER, UNSIGNED_CHUNKS_TRAILER)

BODY_BYTES_MAX = 72 << 20  # of services other than S3: Lambda's 50 MiB of code as base64
_SKEW_MS = 5 * 60_000
_EXPIRES_S_MAX = 604_800
_EXPIRES_S_DEFAULT = 900  # services other than S3 need no X-Amz-Expires
_KEYS_MAX = 1024
# Global services sign for us-east-1 wherever the client lives.
_GLOBAL = frozenset(("iam", "sts", "cloudfront"))
_HEX64 = re.compile(r"[0-9a-f]{64}")
_TIME = re.compile(r"\d{8}T\d{6}Z")
_PRESIGNED_NAMES = ("X-Amz-Algorithm=", "X-Amz-Signature=", "X-Amz-Credential=")
_MODES = (UNSIGNED, UNSIGNED_CHUNKS_TRAILER, SIGNED_CHUNKS, SIGNED_CHUNKS_TRAILER)
CREDENTIAL_FORM = (
    'the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".'
)


class Credential(Protocol):
    """What verifying needs to know of an access key; `iam.credentials` has them."""

    @property
    def access_key(self) -> str: ...
    @property
    def secret(self) -> str: ...
    @property
    def session_token(self) -> str | None: ...
    @property
    def expires_ms(self) -> int | None: ...
    @property
    def caller(self) -> Caller: ...


Lookup = Callable[[str], Credential | None]


class Verified(NamedTuple):
    """A request whose signature is right.

    `payload` is the literal SHA-256, or one of the modes above. The rest is what chunk signatures
    continue from; `signing_key` is empty where signatures aren't checked (open access).
    """

    credential: Credential
    service: str  # of the credential scope
    payload: str
    signature: str
    signing_key: bytes
    scope: str
    timestamp: str
    is_presigned: bool

    @property
    def caller(self) -> Caller:
        return self.credential.caller


class _Credential(NamedTuple):
    """A `Credential` as a request writes it: an access key and its scope."""

    access_key: str
    date: str
    region: str
    service: str
    terminal: str
    scope: str


@dataclass(slots=True)
class _Claim:
    """What a request says of its signature."""

    how: Dialect
    credential: _Credential
    signed_headers: list[str]
    signature: str
    token: str | None
    is_presigned: bool
    timestamp: str = ""
    query: str = ""  # without the signature
    expires_s: int = 0
    payload: str = ""


class Verifier:
    """Verifies requests and keeps derived signing keys. Not for several threads.

    `open_credential`, with open access only, stands in for access keys nobody knows: their
    signatures can't be checked and are not. `region_of` knows which region a request to S3 must be
    signed for that says another one than ours.
    """

    def __init__(
        self,
        open_credential: Callable[[str], Credential] | None = None,
        region_of: Callable[[Request, str], str] | None = None,
    ) -> None:
        self._keys: dict[tuple[str, str, str, str], bytes] = {}
        self._open_credential = open_credential
        self._region_of = region_of

    async def verify(
        self, request: Request, lookup: Lookup, now_ms: int, region: str, service: str = ""
    ) -> Verified | None:
        """The verdict; None for a request without any signature, AwsError for a bad one.

        `service` is the signing name the request must have been made for; "" takes the scope's.
        A body that had to be read for its hash can be read again.
        """
        claim = _claim(request, service)
        if claim is None:
            return None
        said = claim.credential
        if said.region != region and claim.how.is_s3 and self._region_of is not None:
            region = request.region = self._region_of(request, said.region)
        _check_scope(claim, region, service)
        _check_time(claim, request, now_ms)
        claim.payload = _payload(claim, request)
        credential = lookup(said.access_key)
        is_known = credential is not None
        if credential is None and self._open_credential is not None:
            credential = self._open_credential(said.access_key)
        if credential is None:
            raise refusals.unknown_key(claim.how, said.access_key)
        if not claim.payload:
            claim.payload = await _hash_body(request)
        key = b""
        if is_known:
            check_token(claim.how, credential, claim.token, now_ms)
            key = self.signing_key(credential.secret, said.date, said.region, said.service)
            _check_signature(claim, request, key)
        return Verified(
            credential,
            said.service,
            _payload_mode(claim, request),
            claim.signature,
            key,
            said.scope,
            claim.timestamp,
            claim.is_presigned,
        )

    def signing_key(self, secret: str, date: str, region: str, service: str) -> bytes:
        name = (secret, date, region, service)
        key = self._keys.get(name)
        if key is None:
            key = f"AWS4{secret}".encode()
            for part in (date, region, service, "aws4_request"):
                key = hmac.digest(key, part.encode(), "sha256")
            if len(self._keys) >= _KEYS_MAX:
                self._keys.clear()
            self._keys[name] = key
        return key


def is_presigned(query: str) -> bool:
    """Does the query string carry a signature (of any age)?"""
    if not query:
        return False
    return any(name in query for name in _PRESIGNED_NAMES) or (
        "AWSAccessKeyId=" in query and "Signature=" in query
    )


def string_to_sign(timestamp: str, scope: str, canonical: bytes) -> str:
    return f"{ALGORITHM}\n{timestamp}\n{scope}\n{hashlib.sha256(canonical).hexdigest()}"


# --- 1. What the request claims


def _claim(request: Request, service: str) -> _Claim | None:
    header = request.headers.get("authorization", "").strip()
    in_query = is_presigned(request.query)
    if header and in_query:
        raise refusals.two_mechanisms()
    if header:
        return _header_claim(request, header, service)
    return _query_claim(request, service) if in_query else None


def _header_claim(request: Request, header: str, service: str) -> _Claim:
    algorithm, _, rest = header.partition(" ")
    how = refusals.dialect(service, request)
    if algorithm == ASYMMETRIC:
        raise NotImplementedByCloudlet(f"SigV4A ({ASYMMETRIC})")
    if algorithm == "AWS":
        raise refusals.unsupported_mechanism(how)
    if algorithm != ALGORITHM:
        raise refusals.unknown_scheme(how, header)
    most, _, last = rest.rpartition(",")  # the signature; a client repeats all before it for a day
    name, _, signature = last.strip().partition("=")
    parts = {**_parts(most), name: signature}
    for name in ("Credential", "SignedHeaders", "Signature"):
        if not parts.get(name):
            detail = "the authorization header requires three components: Credential, "
            detail += "SignedHeaders, and Signature."
            if rest.count(",") == 2:
                detail = f"missing {name}."
            if not how.is_s3:
                detail = f"Authorization header requires '{name}' parameter. Authorization={header}"
            raise refusals.malformed(how, False, detail)
    claim = _parse(request, parts, service, request.headers.get("x-amz-security-token"), False)
    claim.timestamp = _header_time(claim.how, request)
    claim.query = request.query
    return claim


@lru_cache(maxsize=128)
def _parts(text: str) -> dict[str, str]:
    return dict(part.strip().partition("=")[::2] for part in text.split(","))


def _query_claim(request: Request, service: str) -> _Claim:
    found = dict(parse_qsl(request.query, keep_blank_values=True))
    how = refusals.dialect(service, request)
    algorithm = found.get("X-Amz-Algorithm", "")
    if algorithm == ASYMMETRIC:
        raise NotImplementedByCloudlet(f"SigV4A ({ASYMMETRIC})")
    if "AWSAccessKeyId" in found:
        raise refusals.unsupported_mechanism(how)
    names = ["Algorithm", "Credential", "Signature", "Date", "SignedHeaders"]
    names += ["Expires"] if how.is_s3 else []
    if any(f"X-Amz-{name}" not in found for name in names):
        detail = "Query-string authentication version 4 requires the X-Amz-Algorithm, "
        detail += "X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and "
        raise refusals.malformed(how, True, f"{detail}X-Amz-Expires parameters.")
    if algorithm != ALGORITHM:
        detail = f'X-Amz-Algorithm only supports "{ALGORITHM} and {ASYMMETRIC}"'
        raise refusals.malformed(how, True, detail)
    parts = {name: found[f"X-Amz-{name}"] for name in ("Credential", "SignedHeaders", "Signature")}
    claim = _parse(request, parts, service, found.get("X-Amz-Security-Token"), True)
    claim.timestamp = found["X-Amz-Date"]
    if not _is_time(claim.timestamp):
        detail = "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\""
        raise refusals.malformed(claim.how, True, detail)
    claim.expires_s = _expires(claim.how, found.get("X-Amz-Expires", str(_EXPIRES_S_DEFAULT)))
    claim.payload = found.get("X-Amz-Content-Sha256", "")
    pairs = request.query.split("&")
    claim.query = "&".join(pair for pair in pairs if not pair.startswith("X-Amz-Signature="))
    return claim


def _parse(
    request: Request, parts: dict[str, str], service: str, token: str | None, in_query: bool
) -> _Claim:
    said = _credential(parts["Credential"])
    how = refusals.dialect(service or (said.service if said else ""), request)
    where = "Error parsing the X-Amz-Credential parameter; " if in_query and how.is_s3 else ""
    if said is None or not said.access_key:
        raise refusals.malformed(how, in_query, where + CREDENTIAL_FORM)
    if said.terminal != "aws4_request":
        detail = f'incorrect terminal "{said.terminal}". This endpoint uses "aws4_request".'
        text = "Credential should be scoped with a valid terminator: 'aws4_request', "
        raise refusals.wrong_scope(how, in_query, detail, f"{text}not '{said.terminal}'.")
    if not (len(said.date) == 8 and said.date.isdecimal()):
        detail = f'incorrect date format "{said.date}". This date in the credential must be in the '
        raise refusals.malformed(how, in_query, f'{where}{detail}format "yyyyMMdd".')
    names = parts["SignedHeaders"].lower().split(";")
    return _Claim(how, said, names, parts["Signature"], token, in_query)


@lru_cache(maxsize=128)
def _credential(text: str) -> _Credential | None:
    match text.rsplit("/", 4):
        case [access_key, date, region, service, terminal]:
            scope = f"{date}/{region}/{service}/{terminal}"
            return _Credential(access_key, date, region, service, terminal, scope)
    return None


def _header_time(how: Dialect, request: Request) -> str:
    text = request.headers.get("x-amz-date") or request.headers.get("date", "")
    if _is_time(text):
        return text
    try:
        moment = parsedate_to_datetime(text)
        moment = moment.astimezone(UTC) if moment.tzinfo else moment  # -0000, as botocore says
    except (ValueError, OverflowError):
        raise refusals.no_date(how, request.headers["authorization"]) from None
    return moment.strftime("%Y%m%dT%H%M%SZ")


@lru_cache(maxsize=64)  # requests of one second share it
def _is_time(text: str) -> bool:
    if _TIME.fullmatch(text) is None:
        return False
    try:
        _epoch_ms(text)
    except ValueError:
        return False
    return True


def _expires(how: Dialect, text: str) -> int:
    if not text.lstrip("-").isdecimal() or not text.isascii():
        raise refusals.malformed(how, True, "X-Amz-Expires should be a number")
    if text.startswith("-"):
        raise refusals.malformed(how, True, "X-Amz-Expires must be non-negative")
    seconds = int(text[:12])
    if seconds > _EXPIRES_S_MAX:
        detail = "X-Amz-Expires must be less than a week (in seconds); that is, the given "
        raise refusals.malformed(
            how, True, f"{detail}X-Amz-Expires must be less than {_EXPIRES_S_MAX} seconds"
        )
    return seconds


# --- 2. Is it for here and now, by somebody we know?


def _check_scope(claim: _Claim, region: str, service: str) -> None:
    how, presigned, said = claim.how, claim.is_presigned, claim.credential
    if service and said.service != service:
        detail = f'incorrect service "{said.service}". This endpoint belongs to "{service}".'
        common = f"Credential should be scoped to correct service: '{service}'. "
        raise refusals.wrong_scope(how, presigned, detail, common)
    is_global = said.service in _GLOBAL and said.region == "us-east-1"
    if said.region != region and not is_global:
        detail = f"the region '{said.region}' is wrong; expecting '{region}'"
        common = f"Credential should be scoped to a valid region, not '{said.region}'. "
        fields = {"Region": region} if how.is_s3 else {}
        raise refusals.wrong_scope(how, presigned, detail, common, **fields)
    if not claim.timestamp.startswith(said.date):
        detail = f'Invalid credential date "{said.date}". This date is not the same as '
        detail += f'X-Amz-Date: "{claim.timestamp[:8]}".'
        common = "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date "
        common += f"from HTTP: '{said.date}' != '{claim.timestamp[:8]}', from "
        if how.is_s3:
            raise refusals.malformed(how, presigned, detail)
        raise refusals.wrong_scope(how, presigned, detail, f"{common}'{claim.timestamp}'.")


def _check_time(claim: _Claim, request: Request, now_ms: int) -> None:
    signed_ms = _epoch_ms(claim.timestamp)
    if claim.is_presigned:
        _check_expiry(claim, signed_ms, now_ms)
        return
    allowed_ms = refusals.SKEW_S3_MS if claim.how.is_s3 else _SKEW_MS
    if abs(signed_ms - now_ms) <= allowed_ms:
        return
    if claim.how.is_s3:
        raise refusals.skewed(claim.timestamp, now_ms)
    _refuse_skew(claim, now_ms, is_past=signed_ms < now_ms)


def _refuse_skew(claim: _Claim, now_ms: int, is_past: bool) -> None:
    now, sign = _compact(now_ms), "-" if is_past else "+"
    limit = _compact(now_ms - _SKEW_MS if is_past else now_ms + _SKEW_MS)
    what = (
        "Signature expired: {} is now earlier than"
        if is_past
        else ("Signature not yet current: {} is still later than")
    )
    message = f"{what.format(claim.timestamp)} {limit} ({now} {sign} 5 min.)"
    raise claim.how.error("SignatureDoesNotMatch", message)


def _check_expiry(claim: _Claim, signed_ms: int, now_ms: int) -> None:
    end_ms = signed_ms + claim.expires_s * 1000
    if claim.expires_s and now_ms <= end_ms and signed_ms <= now_ms + refusals.SKEW_S3_MS:
        return
    if not claim.how.is_s3:
        _refuse_skew(claim, now_ms, is_past=now_ms > end_ms)
    if claim.expires_s and now_ms <= end_ms:
        raise AwsError("AccessDenied", "Request is not valid yet", 403, ServerTime=_iso(now_ms))
    raise AwsError(
        "AccessDenied",
        "Request has expired",
        403,
        **{"X-Amz-Expires": claim.expires_s, "Expires": _iso(end_ms), "ServerTime": _iso(now_ms)},
    )


def check_token(how: Dialect, credential: Credential, sent: str | None, now_ms: int) -> None:
    """Temporary credentials are known by their token, too."""
    issued = credential.session_token
    if issued is None:
        if sent:
            raise refusals.invalid_token(how, sent)
        return
    if sent is None:
        raise refusals.unknown_key(how, credential.access_key)
    if not hmac.compare_digest(issued.encode(), sent.encode()):
        raise refusals.invalid_token(how, sent)
    if credential.expires_ms is not None and credential.expires_ms <= now_ms:
        raise refusals.expired_token(how, sent)


# --- 3. The canonical request


def _payload(claim: _Claim, request: Request) -> str:
    """What stands for the payload in the canonical request; "" = the body's own hash."""
    if not claim.how.is_s3:
        return ""
    header = request.headers.get("x-amz-content-sha256")
    if header is not None:
        _check_payload_header(header)
    if not claim.is_presigned:
        if header is None:
            text = "Missing required header for this request: x-amz-content-sha256"
            raise AwsError("InvalidRequest", text, 400)
        return header
    if header is not None and "x-amz-content-sha256" in claim.signed_headers:
        return header
    if claim.payload:
        _check_payload_header(claim.payload)
    return claim.payload or UNSIGNED


def _check_payload_header(value: str) -> None:
    if value in _MODES or _HEX64.fullmatch(value):
        return
    if value.startswith("STREAMING-AWS4-ECDSA"):
        raise NotImplementedByCloudlet(f"SigV4A ({value})")
    raise AwsError(
        "InvalidArgument",
        "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, "
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER, "
        "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD, "
        "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER or a valid sha256 value.",
        400,
        ArgumentName="x-amz-content-sha256",
        ArgumentValue=value,
    )


def _payload_mode(claim: _Claim, request: Request) -> str:
    """How the body is encoded: a presigned upload may still come in chunks."""
    header = request.headers.get("x-amz-content-sha256", "")
    return header if claim.how.is_s3 and header in STREAMING else claim.payload


async def _hash_body(request: Request) -> str:
    return hashlib.sha256(await request.body.read(BODY_BYTES_MAX)).hexdigest()


def _canonical(claim: _Claim, request: Request, path: str, query: str) -> bytes:
    headers = request.headers
    lines = [f"{name}:{' '.join(headers.get(name, '').split())}" for name in claim.signed_headers]
    names = ";".join(claim.signed_headers)
    text = "\n".join((request.method, path, query, *lines, "", names, claim.payload))
    try:
        return text.encode("latin-1")  # the bytes of the wire
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogateescape")


def _sorted(pairs: Iterable[tuple[str, str]]) -> str:
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def _query_as_received(query: str) -> str:
    return _sorted(pair.partition("=")[::2] for pair in query.split("&")) if query else ""


def _query_re_encoded(query: str) -> str:
    return _sorted(
        (quote(unquote_plus(name), safe="-_.~"), quote(unquote_plus(value), safe="-_.~"))
        for name, _, value in (pair.partition("=") for pair in query.split("&") if pair)
    )


def _path(how: Dialect, raw_path: str) -> str:
    if how.is_s3 or raw_path == "/":
        return raw_path or "/"
    return quote(_without_dots(raw_path), safe="/-_.~")


def _without_dots(path: str) -> str:
    """RFC 3986's removal of dot segments; empty segments go, too."""
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment and segment != ".":
            kept.append(segment)
    return "/" + "/".join(kept) + ("/" if kept and path.endswith("/") else "")


# --- 4. The signature


def _check_signature(claim: _Claim, request: Request, key: bytes) -> None:
    _check_signed_headers(claim, request)
    canonical = _canonical(
        claim, request, _path(claim.how, request.raw_path), _query_as_received(claim.query)
    )
    if _matches(claim, key, canonical):
        return
    again = _canonical(
        claim,
        request,
        _path(claim.how, quote(unquote(request.raw_path), safe="/-_.~")),
        _query_re_encoded(claim.query),
    )
    if again != canonical and _matches(claim, key, again):
        return
    if claim.how.is_s3:  # s3-036: what AWS calculated, and so tells, has the path decoded
        canonical = again
    said = claim.credential
    text = string_to_sign(claim.timestamp, said.scope, canonical)
    raise refusals.mismatch(claim.how, said.access_key, claim.signature, text, canonical)


def _check_signed_headers(claim: _Claim, request: Request) -> None:
    signed = claim.signed_headers
    if "host" not in signed:
        raise refusals.host_not_signed(claim.how)
    if claim.how.is_s3:
        unsigned = [n for n in request.headers if n.startswith("x-amz-") and n not in signed]
        if claim.is_presigned:  # says how the body is encoded, nothing that needs permission
            unsigned = [name for name in unsigned if name != "x-amz-content-sha256"]
        if unsigned:
            raise refusals.headers_not_signed(unsigned)


def _matches(claim: _Claim, key: bytes, canonical: bytes) -> bool:
    mac = _mac(key).copy()
    mac.update(string_to_sign(claim.timestamp, claim.credential.scope, canonical).encode())
    return hmac.compare_digest(mac.hexdigest().encode(), claim.signature.encode())


@lru_cache(maxsize=_KEYS_MAX)  # to have the key in it costs more than to sign a short text
def _mac(key: bytes) -> hmac.HMAC:
    return hmac.new(key, digestmod="sha256")


@lru_cache(maxsize=64)
def _epoch_ms(timestamp: str) -> int:
    return int(datetime.fromisoformat(timestamp).timestamp()) * 1000


def _iso(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _compact(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y%m%dT%H%M%SZ")
