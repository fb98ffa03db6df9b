"""Event notifications: the documents, and who gets one.

Called inside the transaction that makes the change, so that change and facts are durable together.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from urllib.parse import quote_plus

import orjson

from cloudlet.call import Call
from cloudlet.config import Config
from cloudlet.events import outbox
from cloudlet.s3.bucket import Bucket, owner_id, setting
from cloudlet.s3.records import Record
from cloudlet.store.database import Transaction

PRINCIPAL = "s3.amazonaws.com"
# event → EventBridge's detail type
_DETAIL_TYPES = {
    "ObjectCreated": "Object Created",
    "ObjectRemoved": "Object Deleted",
    "LifecycleExpiration": "Object Deleted",
    "LifecycleTransition": "Object Storage Class Changed",
    "ObjectAcl": "Object ACL Updated",
    "ObjectRestore:Post": "Object Restore Initiated",
    "ObjectRestore:Completed": "Object Restore Completed",
    "ObjectRestore:Delete": "Object Restore Expired",
    "ObjectTagging:Put": "Object Tags Added",
    "ObjectTagging:Delete": "Object Tags Deleted",
}
_ABOUT_SETTINGS = ("ObjectTagging", "ObjectAcl")  # these tell neither size nor sequencer
_VERSIONS = {  # of the record, where it is not 2.1
    "Replication": "2.2",
    "LifecycleExpiration": "2.3",
    "LifecycleTransition": "2.3",
    "ObjectAcl": "2.3",
    "ObjectTagging": "2.3",
    "ObjectRestore:Delete": "2.3",
}
_EMPTY_MD5 = "d41d8cd98f00b204e9800998ecf8427e"


@dataclass(frozen=True, slots=True)
class Event:
    """What happened to an object. `name` is S3's ("ObjectCreated:Put"), `reason` EventBridge's
    ("PutObject"); a removed object has no size and ETag. `more` are members of the record that this
    kind has besides ("replicationEventData"), `detail` those of EventBridge's detail."""

    name: str
    reason: str
    key: str
    version: int
    version_id: str = ""
    size: int | None = None
    etag: str | None = None
    more: Mapping[str, Any] = field(default_factory=dict)
    detail: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def about(cls, name: str, reason: str, record: Record) -> "Event":
        """Of an object that is there."""
        size = None if name.startswith(_ABOUT_SETTINGS) else record.size
        return cls(name, reason, record.key, record.version, record.version_id, size, record.etag)

    def told(self) -> dict[str, Any]:
        """What both kinds of documents tell of the object, by the names of S3's own."""
        found: dict[str, Any] = {} if self.size is None else {"size": self.size}
        # s3-078: a delete marker has the ETag of nothing
        etag = _EMPTY_MD5 if self.name.endswith("DeleteMarkerCreated") else self.etag
        found |= {} if etag is None else {"eTag": etag}
        found |= {"versionId": self.version_id} if self.version_id else {}
        if not self.name.startswith(_ABOUT_SETTINGS):
            found["sequencer"] = f"{self.version:018X}"
        return found


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did it, from where, by which request of which trace."""

    principal: str
    requester: str
    address: str
    request_id: str
    trace_id: str = ""

    @classmethod
    def of(cls, call: Call) -> "Actor":
        caller = call.caller
        requester = caller.account or call.config.account
        principal = f"AWS:{caller.user_id or requester}"
        request = call.request
        trace_id = request.headers.get("x-amzn-trace-id", "")
        return cls(principal, requester, request.client, request.id, trace_id)


LIFECYCLE = Actor(PRINCIPAL, PRINCIPAL, "127.0.0.1", "")
REPLICATION = Actor(PRINCIPAL, PRINCIPAL, "127.0.0.1", "")


def announce(config: Config, tx: Transaction, bucket: Bucket, event: Event, actor: Actor) -> None:
    """Puts a fact for every target whose configuration the event matches."""
    configuration = setting(tx, bucket.id, "notification")
    if not configuration:
        return
    now_ms = config.now_ms()
    for target in configuration["targets"]:
        if _matches(target, event):
            document = _record(config, bucket, event, actor, target["id"])
            put(config, tx, bucket.name, (target["arn"], {"Records": [document]}), actor)
    if configuration.get("event-bridge") and _kind(event) in _DETAIL_TYPES:
        target_arn = config.arn("events", "event-bus/default")
        document = _bridged(config, bucket, event, actor)
        source_arn = f"arn:aws:s3:::{bucket.name}"
        payload = orjson.dumps(document)
        outbox.put(tx, target_arn, payload, source=source_arn, now_ms=now_ms)


def put(
    config: Config, tx: Transaction, bucket: str, notice: tuple[str, Any], actor: Actor
) -> None:
    """A notice is a target and a document for it: a function, a queue or a topic; sent on S3's
    behalf."""
    arn, document = notice
    source_arn = f"arn:aws:s3:::{bucket}"
    attributes = {
        "principal": PRINCIPAL,
        "source_arn": source_arn,
        "source_account": config.account,
    }
    if arn.split(":")[2] == "sns":
        attributes["subject"] = "Amazon S3 Notification"
    if actor.trace_id:
        attributes["trace_id"] = actor.trace_id
    outbox.put(
        tx,
        arn,
        orjson.dumps(document),
        source=source_arn,
        now_ms=config.now_ms(),
        attributes=attributes,
    )


def _matches(target: dict[str, Any], event: Event) -> bool:
    prefix, suffix = target["prefix"] or "", target["suffix"] or ""
    if not event.key.startswith(prefix) or not event.key.endswith(suffix):
        return False
    return any(covers(pattern, event.name) for pattern in target["events"])


def covers(pattern: str, name: str) -> bool:
    """Whether "s3:ObjectCreated:*" stands for "ObjectCreated:Put"."""
    pattern = pattern.removeprefix("s3:")
    return pattern == name or (pattern.endswith("*") and name.startswith(pattern[:-1]))


def iso(now_ms: int) -> str:
    moment = datetime.fromtimestamp(now_ms / 1000, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{now_ms % 1000:03}Z"


@lru_cache(4096)  # pages of a listing share many, and are often asked for again
def second(at_s: int) -> str:
    """S3 lists times in whole seconds."""
    return iso(at_s * 1000)


def _record(
    config: Config, bucket: Bucket, event: Event, actor: Actor, configuration_id: str
) -> dict[str, Any]:
    version = _VERSIONS.get(event.name) or _VERSIONS.get(event.name.split(":")[0], "2.1")
    return {
        "eventVersion": version,
        "eventSource": "aws:s3",
        "awsRegion": config.region,
        "eventTime": iso(config.now_ms()),
        "eventName": event.name,
        "userIdentity": {"principalId": actor.principal},
        "requestParameters": {"sourceIPAddress": actor.address},
        "responseElements": {"x-amz-request-id": actor.request_id, "x-amz-id-2": actor.request_id},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": configuration_id,
            "bucket": {
                "name": bucket.name,
                "ownerIdentity": {"principalId": owner_id(config.account)},
                "arn": f"arn:aws:s3:::{bucket.name}",
            },
            "object": {"key": quote_plus(event.key, safe="/"), **event.told()},
        },
        **event.more,
    }


_BRIDGED = {"eTag": "etag", "versionId": "version-id"}  # EventBridge's names


def _kind(event: Event) -> str:
    return event.name if event.name in _DETAIL_TYPES else event.name.split(":")[0]


def _bridged(config: Config, bucket: Bucket, event: Event, actor: Actor) -> dict[str, Any]:
    kind = _kind(event)
    told = {_BRIDGED.get(name, name): value for name, value in event.told().items()}
    if kind.startswith("ObjectRestore"):
        told.pop("sequencer")
    detail: dict[str, Any] = {
        "version": "0",
        "bucket": {"name": bucket.name},
        "object": {"key": event.key, **told},
        "request-id": actor.request_id,
        "requester": actor.requester,
    }
    if actor.requester != PRINCIPAL:
        detail["source-ip-address"] = actor.address
    if event.reason and not kind.startswith(_ABOUT_SETTINGS):
        detail["reason"] = event.reason
    detail.update(event.detail)
    if _DETAIL_TYPES[kind] == "Object Deleted":
        is_kept = event.name.endswith("DeleteMarkerCreated")
        detail["deletion-type"] = "Delete Marker Created" if is_kept else "Permanently Deleted"
    return {
        "version": "0",
        "id": config.new_id(),
        "detail-type": _DETAIL_TYPES[kind],
        "source": "aws.s3",
        "account": config.account,
        "time": iso(config.now_ms())[:19] + "Z",
        "region": config.region,
        "resources": [f"arn:aws:s3:::{bucket.name}"],
        "detail": detail,
    }
