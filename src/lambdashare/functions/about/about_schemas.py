"""The JSON Schemas of what the API takes and gives."""

from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
TIME: Schema = {"type": "string", "format": "date-time"}
COUNT: Schema = {"type": "integer", "minimum": 0}
FLAG: Schema = {"type": "boolean"}
HEX256: Schema = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
BASE64: Schema = {"type": "string", "pattern": "^[A-Za-z0-9+/]{43}=$"}
COUNTS: Schema = {"type": "object", "additionalProperties": COUNT}
PHASE: Schema = {
    "enum": ["uploading", "storing", "hashing", "hashed", "verified", "quarantined"],
}
DIGESTS: Schema = {
    "type": "object",
    "properties": {
        name: {"type": "string", "pattern": f"^[0-9a-f]{{{digits}}}$"}
        for name, digits in {
            "md5": 32,
            "sha1": 40,
            "sha256": 64,
            "sha512": 128,
            "crc32": 8,
            "crc64nvme": 16,
            "blake3": 64,
        }.items()
    },
    "additionalProperties": False,
}


def record(*optional: str, **properties: Schema) -> Schema:
    """An object whose properties are all required, but for `optional` ones."""
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required}


def maybe(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def many(schema: Schema, **limits: int) -> Schema:
    return {"type": "array", "items": schema, **limits}


def ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


EXPIRY: Schema = {"type": "integer", "minimum": 300, "maximum": 2592000}
LIMIT: Schema = maybe({"type": "integer", "minimum": 1, "maximum": 1_000_000})
WANTED_PART = record("sha256", number={"type": "integer", "minimum": 1}, sha256=BASE64)
DONE_PART = record(number={"type": "integer", "minimum": 1}, etag=TEXT, sha256=BASE64)
URL = record(
    number=COUNT,
    url={"type": "string", "format": "uri"},
    headers={"type": "object", "additionalProperties": TEXT},
    size=COUNT,
    expires_at=TIME,
)
UPLOAD = record(
    n=COUNT, method={"enum": ["single", "multipart"]}, part_size=COUNT, parts=COUNT, urls=many(URL)
)
SHARE = {
    "id": TEXT,
    "url": TEXT,
    "phase": PHASE,
    "created_at": TIME,
    "expires_at": TIME,
    "max_downloads": LIMIT,
    "listed": FLAG,
    "size": COUNT,
    "files": many(ref("File")),
}
COUNTED = {
    "uploads": COUNT,
    "bytes": COUNT,
    "downloads": COUNT,
    "verifications": COUNT,
    "hashes": COUNT,
    "quarantined": COUNT,
    "types": COUNTS,
    "latency": record(p50_ms=maybe(COUNT), p99_ms=maybe(COUNT), histogram=COUNTS),
}

SCHEMAS: dict[str, Schema] = {
    "NewShare": record(
        "expires_in_s",
        "max_downloads",
        "listed",
        files=many(
            record(
                "type",
                "part_size",
                "parts",
                name={"type": "string", "minLength": 1},
                size=COUNT,
                type=TEXT,
                part_size={"type": "integer", "minimum": 5 << 20, "maximum": 5 << 30},
                parts=many(WANTED_PART, maxItems=100),
            ),
            minItems=1,
            maxItems=500,
        ),
        expires_in_s=EXPIRY,
        max_downloads=LIMIT,
        listed=FLAG,
    ),
    "NewShareAnswer": record(**SHARE, owner_token=TEXT, uploads=many(UPLOAD)),
    "Share": record(**SHARE),
    "File": record(
        n=COUNT,
        name=TEXT,
        size=maybe(COUNT),
        type=TEXT,
        phase=PHASE,
        url=TEXT,
        downloads=COUNT,
        verifications=COUNT,
        hashed_bytes=COUNT,
        digests=DIGESTS,
        witnesses=record(
            browser=maybe(HEX256),
            storage=maybe(
                record(
                    algorithm=TEXT,
                    kind={"enum": ["full", "composite"]},
                    value=TEXT,
                    agrees=FLAG,
                )
            ),
            function=maybe(HEX256),
        ),
        stored_at=maybe(TIME),
        hashed_at=maybe(TIME),
        hash_latency_ms=maybe(COUNT),
    ),
    "Changes": record(
        "expires_in_s",
        "expires_at",
        "max_downloads",
        "listed",
        expires_in_s=EXPIRY,
        expires_at=TIME,
        max_downloads=LIMIT,
        listed=FLAG,
    ),
    "Parts": record(parts=many(WANTED_PART, minItems=1, maxItems=100)),
    "Urls": record(urls=many(URL)),
    "PartsDone": record(
        method={"enum": ["single", "multipart"]},
        part_size=COUNT,
        count=COUNT,
        phase=PHASE,
        parts=many(record(number=COUNT, size=COUNT, etag=TEXT, sha256=maybe(TEXT))),
        next=maybe(COUNT),
    ),
    "Completion": record("parts", parts=many(DONE_PART, maxItems=10_000)),
    "Sha256": record(sha256=HEX256),
    "Match": record(match=FLAG),
    "Found": record(
        digest=TEXT,
        algorithms=many(TEXT),
        size=COUNT,
        digests=DIGESTS,
        files=many(
            record(
                share=TEXT,
                n=COUNT,
                name=TEXT,
                size=COUNT,
                type=TEXT,
                url=TEXT,
                share_url=TEXT,
                expires_at=TIME,
            )
        ),
    ),
    "Stats": record(
        range={"enum": ["hour", "day", "month"]},
        step_s=COUNT,
        buckets=many(record(at=TIME, **COUNTED)),
        totals=record(**COUNTED),
    ),
    "Problem": {
        **record(type=TEXT, title=TEXT, status=COUNT, detail=TEXT, instance=TEXT),
        "description": "RFC 9457 problem details",
        "x-statuses": {
            "400": "Malformed",
            "401": "No owner token",
            "403": "Wrong owner token",
            "404": "Unknown",
            "409": "Conflicts with the present state",
            "410": "Expired, deleted or used up",
            "413": "Too large",
            "422": "A field is wrong",
        },
    },
}
