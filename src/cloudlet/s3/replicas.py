"""Carries replication out: facts of the outbox become copies in other buckets, here or elsewhere.

Where the other side does not answer, a fact is tried again for two weeks; where it refuses, the
object is FAILED and others go on. Big objects go by multipart upload, whose id is kept: after a
crash the parts that are there are not sent again. What a bucket's role may not do is not done.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/replication-failure-codes.html
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import urlencode

import orjson

from cloudlet.call import Caller, Cloud, Output, Params, Requirement
from cloudlet.errors import AwsError
from cloudlet.events.delivery import DONE, Done, Later, Outcome
from cloudlet.events.outbox import Fact
from cloudlet.exchange import Body, Request
from cloudlet.policy.context import Context
from cloudlet.policy.evaluation import evaluate
from cloudlet.policy.roles import Roles
from cloudlet.s3 import access, announce, checksums, records, remotes, replication, traits, versions
from cloudlet.s3.bucket import Bucket, of_name
from cloudlet.s3.pieces import Piece, pieces
from cloudlet.s3.records import Record
from cloudlet.store.database import Transaction, View

PATIENCE_MS = 14 * 86_400_000
THRESHOLD_MS = 15 * 60_000
AT_ONCE = 16  # facts for one destination
_BACK_OFF_MAX_S = 300
_BATCH = 200
_PASSING = {408, 429, 500, 502, 503, 504}
_log = logging.getLogger(__name__)
Job = dict[str, Any]
Change = Callable[[Transaction], object]

SCHEMA = """
CREATE TABLE IF NOT EXISTS s3_copying ( -- multipart uploads that replicate, at their destinations
    fact   INTEGER PRIMARY KEY,
    upload TEXT NOT NULL
);
"""


class Target(NamedTuple):
    """A destination bucket, in the name of a role."""

    cloud: Cloud
    name: str
    caller: Caller
    remote: remotes.Remote | None
    account: str | None  # whose the bucket must be

    async def ask(self, operation: str, params: Params, piece: Piece | None = None) -> Output:
        params = {**params, "Bucket": self.name}
        if self.account:
            params["ExpectedBucketOwner"] = self.account
        if self.remote is None:
            params[replication.MARK] = True
            if piece is not None:
                params["Body"] = Body(piece.receive, piece.size)
            return await self.cloud.invoke("s3", operation, params, self.caller)
        if piece is not None:
            params |= {"Body": piece, "ContentLength": piece.size}
        return await remotes.ask(self.cloud.config, self.remote, operation, params)


class Replicas:
    """Handles facts for "s3" targets."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        account = cloud.config.account
        self._roles = Roles(cloud, Caller("service", announce.PRINCIPAL, account), "s3-replication")
        cloud.database.prepare(SCHEMA)

    def room(self, target: str) -> int:
        return AT_ONCE

    async def deliver(self, fact: Fact) -> Outcome:
        job: Job = orjson.loads(fact.payload)
        kinds: Mapping[str, Callable[[Fact, Job, Bucket], Awaitable[Change | None]]] = {
            "object": self._object,
            "tags": self._tags,
            "marker": self._marker,
            "backfill": self._backfill,
        }
        bucket = self._bucket(job)
        if bucket is None:
            return DONE
        try:
            return Done(await kinds[job["kind"]](fact, job, bucket))
        except AwsError as error:
            age_ms = self._cloud.config.now_ms() - fact.created_ms
            if error.status in _PASSING and age_ms < PATIENCE_MS:
                return Later(min(_BACK_OFF_MAX_S, 2 ** min(fact.attempts, 10)))
            _log.warning("%s %r is not replicated: %s", job["source"], job.get("key"), error)
            return Done(lambda tx: self._failed(tx, fact, job, bucket))

    def _bucket(self, job: Job) -> Bucket | None:
        """The source, if it is still the same one."""
        bucket = of_name(self._cloud.database.view(), job["source"])
        return bucket if bucket is not None and bucket.id == job["bucket"] else None

    async def _target(self, job: Job, bucket: Bucket, needs: Mapping[str, str]) -> Target:
        """`needs`: which actions on the source's key and at the destination the role must allow."""
        name = replication.destination(job["rule"])
        caller = await self._roles.caller(job["role"])
        policy = access.policy_of(self._cloud.database.view(), bucket)
        self._check(caller, needs["source"], f"arn:aws:s3:::{bucket.name}/{job['key']}", policy)
        remote = remotes.find(self._cloud.config, name)
        if remote is not None:
            self._check(caller, needs["there"], f"arn:aws:s3:::{name}/{job['key']}", None)
        account = job["rule"]["Destination"].get("Account")
        return Target(self._cloud, name, caller, remote, account)

    def _check(
        self, caller: Caller, action: str, resource: str, policy: Mapping[str, Any] | None
    ) -> None:
        need = Requirement(f"s3:{action}", resource)
        request = Request("POST", "/", "", {}, Body.of(b""))
        context = Context(self._cloud.config, caller, request, need)
        if not evaluate(caller, need, context, [policy] if policy else []).is_allowed:
            raise AwsError("AccessDenied", f"{caller.arn} may not s3:{action} {resource}", 403)

    def _record(self, view: View, job: Job) -> Record | None:
        record = versions.find(view, job["bucket"], job["key"], job["version_id"])
        same = record is not None and record.version == job["version"] and not record.is_marker
        return record if same else None

    async def _object(self, fact: Fact, job: Job, bucket: Bucket) -> Change | None:
        with self._cloud.database.snapshot() as view:
            record = self._record(view, job)
            parts = pieces(self._cloud.blobs, view, record) if record else []
        if record is None:  # deleted meanwhile
            return None
        needs = {"source": "GetObjectVersionForReplication", "there": "ReplicateObject"}
        target = await self._target(job, bucket, needs)
        params = written(record, job["rule"], self._cloud.config.now_ms())
        if len(parts) == 1 and not record.parts:
            algorithm, _, value = record.checksum
            whole = {**params, checksums.member(algorithm): value}
            output = await target.ask("PutObject", whole, parts[0])
        else:
            output = await self._in_parts(fact, target, record, (params, parts))
        _verify(record, output, parts)
        version_id = output.get("VersionId", "")
        return partial(self._copied, fact, job, bucket, version_id)

    async def _in_parts(
        self, fact: Fact, target: Target, record: Record, sent: tuple[Params, list[Piece]]
    ) -> Output:
        """Goes on with the upload of an earlier attempt. Its parts are not sent again."""
        params, parts = sent
        algorithm, kind, value = record.checksum
        where = {"Key": record.key}
        upload, there = await self._upload_before(fact, target, where)
        if not upload:
            summed = {"ChecksumAlgorithm": algorithm, "ChecksumType": kind}
            begun = await target.ask("CreateMultipartUpload", {**params, **summed})
            upload = begun["UploadId"]
            await self._cloud.database.write(partial(_keep_upload, fact.id, upload))
        where["UploadId"] = upload
        done = []
        for number, piece in enumerate(parts, 1):
            told: Params = {**where, "PartNumber": number}
            if piece.checksum:
                told[checksums.member(algorithm)] = piece.checksum
            known = there.get(number)
            if known is None or known[1] != piece.size:
                known = (await target.ask("UploadPart", told, piece))["ETag"], piece.size
            entry: dict[str, Any] = {"PartNumber": number, "ETag": known[0]}
            if kind == checksums.COMPOSITE:
                entry[checksums.member(algorithm)] = piece.checksum
            done.append(entry)
        whole = {**where, "MultipartUpload": {"Parts": done}}
        if kind == checksums.FULL:
            whole |= {checksums.member(algorithm): value, "ChecksumType": kind}
        return await target.ask("CompleteMultipartUpload", whole)

    async def _upload_before(
        self, fact: Fact, target: Target, where: Params
    ) -> tuple[str, dict[int, tuple[str, int]]]:
        """The upload that an earlier attempt began, and its parts: number → (ETag, size)."""
        query = "SELECT upload FROM s3_copying WHERE fact = ?"
        upload: str = self._cloud.database.view().value(query, (fact.id,)) or ""
        found: dict[int, tuple[str, int]] = {}
        marker = 0
        try:
            while upload:
                asked = {**where, "UploadId": upload, "PartNumberMarker": marker}
                page = await target.ask("ListParts", asked)
                for part in page.get("Parts") or []:
                    found[part["PartNumber"]] = part["ETag"], part["Size"]
                if not page.get("IsTruncated"):
                    break
                marker = int(page["NextPartNumberMarker"])
        except AwsError as error:
            if error.code != "NoSuchUpload":
                raise
            return "", {}
        return upload, found

    async def _tags(self, fact: Fact, job: Job, bucket: Bucket) -> Change | None:
        """The tags as they are now, on the copy that was made."""
        record = self._record(self._cloud.database.view(), job)
        if record is None:
            return None
        needs = {"source": "GetObjectVersionTagging", "there": "ReplicateTags"}
        target = await self._target(job, bucket, needs)
        there = record.traits.get("replicas", {}).get(target.name)
        params: Params = {"Key": record.key, **({"VersionId": there} if there else {})}
        tags = [{"Key": key, "Value": value} for key, value in record.tags.items()]
        await target.ask("PutObjectTagging", {**params, "Tagging": {"TagSet": tags}})
        return partial(self._copied, fact, job, bucket, "")

    async def _marker(self, fact: Fact, job: Job, bucket: Bucket) -> Change | None:
        needs = {"source": "GetObjectVersionForReplication", "there": "ReplicateDelete"}
        target = await self._target(job, bucket, needs)
        await target.ask("DeleteObject", {"Key": job["key"]})
        return None

    async def _backfill(self, fact: Fact, job: Job, bucket: Bucket) -> Change | None:
        """A page of what is not there yet, oldest versions of a key first; then the next page."""
        done = dict(job)

        def change(tx: Transaction) -> None:
            rows = _page(tx, bucket, done["after"])
            for row in rows:
                record = Record.of(row)
                name = replication.destination(done["rule"])
                status = record.traits.get(replication.TRAIT) or {}
                is_new = record.modified_ms <= done["until_ms"] and status != replication.REPLICA
                if is_new and status.get(name) in (None, replication.FAILED):
                    only = {"Role": done["role"], "Rules": [done["rule"]]}
                    rules = replication.begin(only, record)
                    if rules:
                        replication.note(tx, record, name, replication.PENDING)
                        job = replication.told(record)
                        replication.queue(self._cloud.config, tx, bucket, rules, job)
            if len(rows) == _BATCH:
                after = [rows[-1]["key"], rows[-1]["version"]]
                replication.put(self._cloud.config, tx, bucket, {**done, "after": after})

        return change

    def _copied(
        self, fact: Fact, job: Job, bucket: Bucket, version_id: str, tx: Transaction
    ) -> None:
        name = replication.destination(job["rule"])
        record = self._record(tx, job)
        if record is not None:
            replication.note(tx, record, name, replication.COMPLETED, version_id)
        tx.run("DELETE FROM s3_copying WHERE fact = ?", (fact.id,))
        timed = (job["rule"]["Destination"].get("ReplicationTime") or {}).get("Status")
        late = self._cloud.config.now_ms() - fact.created_ms > THRESHOLD_MS
        if timed == "Enabled" and late:
            self._tell(tx, job, bucket, "OperationReplicatedAfterThreshold")

    def _failed(self, tx: Transaction, fact: Fact, job: Job, bucket: Bucket) -> None:
        tx.run("DELETE FROM s3_copying WHERE fact = ?", (fact.id,))
        if "version" not in job:
            return
        record = self._record(tx, job)
        if record is not None:
            name = replication.destination(job["rule"])
            replication.note(tx, record, name, replication.FAILED)
            self._tell(tx, job, bucket, "OperationFailedReplication")

    def _tell(self, tx: Transaction, job: Job, bucket: Bucket, name: str) -> None:
        record = self._record(tx, job)
        if record is not None:
            event = announce.Event.about(f"Replication:{name}", "", record)
            told = {
                "replicationRuleId": job["rule"]["ID"],
                "destinationBucket": job["rule"]["Destination"]["Bucket"],
                "s3Operation": "OBJECT_PUT" if job["kind"] == "object" else "OBJECT_PUT_TAGGING",
                "requestTime": announce.iso(record.modified_ms),
            }
            event = replace(event, more={"replicationEventData": told})
            announce.announce(self._cloud.config, tx, bucket, event, announce.REPLICATION)


def written(record: Record, rule: Mapping[str, Any], now_ms: int) -> Params:
    """What a write says of the copy, which is locked as the object is."""
    to, lock = rule["Destination"], record.traits.get("lock", {})
    params: Params = {"Key": record.key, **record.headers}
    if lock.get("until_ms", 0) > now_ms:
        until = datetime.fromtimestamp(lock["until_ms"] / 1000, UTC)
        params |= {"ObjectLockMode": lock["mode"], "ObjectLockRetainUntilDate": until}
    if "hold" in lock:
        params["ObjectLockLegalHoldStatus"] = lock["hold"]
    if record.metadata:
        params["Metadata"] = record.metadata
    if record.tags:
        params["Tagging"] = urlencode(record.tags)
    storage_class = to.get("StorageClass") or traits.storage_class(record.traits)
    if storage_class != traits.STANDARD:
        params["StorageClass"] = storage_class
    if "SSEKMSKeyId" in record.encryption:
        key_id = to["EncryptionConfiguration"]["ReplicaKmsKeyID"]
        params |= {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key_id}
    return params


def _verify(record: Record, output: Output, parts: list[Piece]) -> None:
    """The other side checked the checksum that it was sent; this is for those that know of none.
    ETags of what KMS keeps, and of other parts than the original's, say nothing."""
    comparable = not record.encryption and (bool(record.parts) or len(parts) == 1)
    if not comparable or output.get("ServerSideEncryption") == "aws:kms":
        return
    if output.get("ETag", "").strip('"') != record.etag:
        raise AwsError("BadDigest", "The copy has another ETag than the object.", 400)


def _keep_upload(fact: int, upload: str, tx: Transaction) -> None:
    tx.run("INSERT OR REPLACE INTO s3_copying (fact, upload) VALUES (?, ?)", (fact, upload))


def _page(tx: Transaction, bucket: Bucket, after: list[Any]) -> list[Any]:
    place = (bucket.id, *after)
    both = " UNION ALL ".join(
        f"SELECT {records.COLUMNS} FROM {table} WHERE bucket = ? AND (key, version) > (?, ?)"
        " AND etag <> ''"
        for table in ("s3_object", "s3_version")
    )
    return tx.all(f"{both} ORDER BY key, version LIMIT {_BATCH}", (*place, *place))


async def measure(cloud: Cloud) -> None:
    """What waits for each destination, for rules with metrics; once a minute."""
    now_ms = cloud.config.now_ms()
    for row in await asyncio.to_thread(_pending, cloud):
        names = ("SourceBucket", "DestinationBucket", "RuleId")
        place = tuple(zip(names, (row["source"], row["there"], row["rule"]), strict=True))
        age_s = (now_ms - row["oldest_ms"]) / 1000
        for name, value, unit in (
            ("OperationsPendingReplication", row["count"], "Count"),
            ("BytesPendingReplication", row["bytes"], "Bytes"),
            ("ReplicationLatency", age_s, "Seconds"),
        ):
            cloud.meter.add("AWS/S3", name, place, value, unit)


def _pending(cloud: Cloud) -> list[Any]:
    return cloud.database.view().all(
        "WITH job AS (SELECT created_ms, CAST(payload AS TEXT) AS j FROM outbox"
        " WHERE key <> '' AND target GLOB 'arn:aws:s3:*')"
        " SELECT json_extract(j, '$.source') AS source, json_extract(j, '$.rule.ID') AS rule,"
        " substr(json_extract(j, '$.rule.Destination.Bucket'), 14) AS there, count(*) AS count,"
        " total(json_extract(j, '$.size')) AS bytes, min(created_ms) AS oldest_ms FROM job"
        " WHERE json_extract(j, '$.rule.Destination.Metrics.Status') = 'Enabled'"
        " GROUP BY 1, 2, 3"
    )
