"""S3 against a plain model: of each key a list of versions, the newest first.

Any sequence of writes, copies, deletions, locks and restarts leaves what the model has: contents,
heads, ranges, conditions, all three listings in pages, and every byte on disk accounted for.
"""

import hashlib
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from unittest import mock

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from cloudlet.call import Cloud
from cloudlet.errors import AwsError
from cloudlet.s3 import (
    buckets,
    bulk,
    completion,
    copying,
    listing,
    locks,
    objects,
    reading,
    retention,
    version_listing,
)
from cloudlet.s3.records import known_blobs
from cloudlet.store.blobs import Blobs
from cloudlet.store.database import Database
from tests.property.test_s3 import expected, shelves
from tests.unit.s3.test_versions import turn

KEYS = st.sampled_from(["a", "a/1", "a/2", "b"])
SIZES = st.sampled_from([0, 1, 18, 90_000])  # in the row, or in a blob
PLACES = st.integers(0, 3)
BYTES = bytes(range(250)) * 360
HOUR_MS = 3_600_000


@dataclass
class Version:
    id: str
    body: bytes | None  # None: a delete marker
    etag: str = ""
    mode: str = ""
    until_ms: int = 0
    hold: bool = False

    def is_locked(self, now_ms: int, *, bypass: bool = False) -> bool:
        retained = self.until_ms > now_ms and not (bypass and self.mode == "GOVERNANCE")
        return self.hold or retained


def code_of(function: Any, *args: Any, **params: Any) -> tuple[str, Any]:
    """The error's code or "", and the output."""
    try:
        return "", function(*args, **params)
    except AwsError as error:
        return error.code, None


class Store(RuleBasedStateMachine):
    """`status`: of versioning. In buckets with locks it is always "Enabled"."""

    has_locks = False

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        self.shelf = self._stack.enter_context(shelves())
        self._stack.enter_context(mock.patch.object(completion, "PART_BYTES_MIN", 1))
        self.status = ""
        self.model: dict[str, list[Version]] = {}

    def teardown(self) -> None:
        self._stack.close()

    def call(self, operation: Any, body: bytes = b"", **params: Any) -> tuple[str, Any]:
        return code_of(self.shelf.call, operation, body, Bucket="shelf", **params)

    # --- the model ---

    def current(self, key: str) -> Version | None:
        versions = self.model.get(key)
        return versions[0] if versions and versions[0].body is not None else None

    def version(self, key: str, place: int) -> Version | None:
        """The one at that place, else the null version."""
        versions = self.model.get(key, [])
        nulls = [each for each in versions if each.id == "null"]
        return [*versions[place : place + 1], *nulls, None][0]

    def _add(self, key: str, output: Any, body: bytes | None, etag: str = "") -> None:
        version_id = output.get("VersionId", "null")
        assert (version_id != "null") == (self.status == "Enabled")
        there = self.model.setdefault(key, [])
        there[:] = [each for each in there if each.id != version_id]
        etag = etag or (hashlib.md5(body).hexdigest() if body is not None else "")
        there.insert(0, Version(version_id, body, etag))

    # --- changes ---

    @rule(status=st.sampled_from(["Enabled", "Suspended"]))
    def switch(self, status: str) -> None:
        code, _ = code_of(turn, self.shelf, status)
        if self.has_locks and status == "Suspended":
            assert code == "InvalidBucketState"
        else:
            assert code == ""
            self.status = status

    @rule(key=KEYS, size=SIZES)
    def put(self, key: str, size: int) -> None:
        body = BYTES[:size]
        _, output = self.call(objects.put_object, body, Key=key)
        self._add(key, output, body)

    @rule(key=KEYS, size=SIZES, condition=st.sampled_from(["absent", "same", "other"]))
    def put_under_condition(self, key: str, size: int, condition: str) -> None:
        there, body = self.current(key), BYTES[:size]
        etag = there.etag if there and condition == "same" else "0" * 32
        params = {"IfNoneMatch": "*"} if condition == "absent" else {"IfMatch": etag}
        code, output = self.call(objects.put_object, body, Key=key, **params)
        if condition == "absent":
            assert code == ("PreconditionFailed" if there else "")
        elif there is None:
            assert code == "NoSuchKey"
        else:
            assert code == ("" if condition == "same" else "PreconditionFailed")
        if not code:
            self._add(key, output, body)

    @rule(source=KEYS, place=PLACES, key=KEYS)
    def copy(self, source: str, place: int, key: str) -> None:
        version = self.version(source, place)
        version_id = version.id if version else "null"
        where = {"Bucket": "shelf", "Key": source, "VersionId": version_id}
        code, output = self.call(
            copying.copy_object, Key=key, CopySource=where, MetadataDirective="REPLACE"
        )
        if version is None or version.body is None:
            assert code in ("NoSuchVersion", "InvalidRequest")
        else:
            self._add(key, output, version.body)

    @rule(key=KEYS, sizes=st.lists(SIZES.filter(bool), min_size=1, max_size=3))
    def upload(self, key: str, sizes: list[int]) -> None:
        bodies = [BYTES[:size] for size in sizes]
        upload = self.shelf.start(key)
        parts = [
            {"PartNumber": number, "ETag": self.shelf.part(key, upload, number, body)["ETag"]}
            for number, body in enumerate(bodies, 1)
        ]
        output = self.shelf.complete(key, upload, parts)
        self._add(key, output, b"".join(bodies), output["ETag"].strip('"'))

    @rule(key=KEYS, is_conditional=st.booleans())
    def delete(self, key: str, is_conditional: bool) -> None:
        there = self.current(key)
        params = {"IfMatch": there.etag if there else "*"} if is_conditional else {}
        code, output = self.call(objects.delete_object, Key=key, **params)
        if is_conditional and there is None:
            assert code == "NoSuchKey"
        elif self.status:
            assert output["DeleteMarker"]
            self._add(key, output, None)
        else:
            self.model.pop(key, None)

    @rule(key=KEYS, place=PLACES, at_once=st.booleans(), bypass=st.booleans())
    def remove(self, key: str, place: int, at_once: bool, bypass: bool) -> None:
        version = self.version(key, place)
        named = {"Key": key, "VersionId": version.id if version else "null"}
        params = {"BypassGovernanceRetention": bypass} if self.has_locks else {}
        if at_once:
            _, output = self.call(bulk.delete_objects, Delete={"Objects": [named]}, **params)
            code = output["Errors"][0]["Code"] if "Errors" in output else ""
        else:
            code, _ = self.call(objects.delete_object, **named, **params)
        now_ms = self.shelf.clock.now_ms
        if version is not None and version.is_locked(now_ms, bypass=bypass):
            assert code == "AccessDenied"
        else:
            assert code == ""
            versions = self.model.get(key, [])
            versions[:] = [each for each in versions if each.id != named["VersionId"]]

    @rule()
    def restart(self) -> None:
        """What is left of unfinished work goes, as at every start."""
        shelf = self.shelf
        shelf.database.close()
        shelf.database = Database(shelf.config.data)
        shelf.blobs = Blobs(shelf.config.data / "blobs", shelf.config.new_id)
        shelf.cloud = Cloud(shelf.config, shelf.database, shelf.blobs, shelf._invoke)
        assert shelf.blobs.collect(known_blobs(shelf.database.view())) == 0

    # --- reading ---

    @rule(key=KEYS, place=PLACES, first=st.integers(0, 9), length=st.integers(1, 9))
    def read(self, key: str, place: int, first: int, length: int) -> None:
        version = self.version(key, place)
        if version is None or version.body is None:
            return
        wanted = {"VersionId": version.id, "Range": f"bytes={first}-{first + length - 1}"}
        code, output = code_of(self.shelf.get, key, **wanted)
        if first >= len(version.body):
            assert code == "InvalidRange"
        else:
            assert output["Body"] == version.body[first : first + length]

    @rule(key=KEYS)
    def read_under_conditions(self, key: str) -> None:
        there = self.current(key)
        etag = there.etag if there else "*"
        for params, code in (
            ({"IfMatch": etag}, ""),
            ({"IfNoneMatch": etag}, "NotModified"),
            ({"IfMatch": "0"}, "PreconditionFailed"),
            ({"IfNoneMatch": "0"}, ""),
        ):
            got, output = self.call(reading.head_object, Key=key, **params)
            assert got == (code if there else "NoSuchKey")
            if there is not None and not got:
                assert output["ContentLength"] == len(there.body or b"")

    @rule(
        prefix=st.sampled_from(["", "a", "a/", "c"]),
        delimiter=st.sampled_from(["", "/"]),
        size=st.integers(1, 3),
    )
    def listings(self, prefix: str, delimiter: str, size: int) -> None:
        params = {"Prefix": prefix, "Delimiter": delimiter, "MaxKeys": size}
        alive = {key for key in self.model if self.current(key)}
        for operation, follow in (
            (listing.list_objects_v2, {"ContinuationToken": "NextContinuationToken"}),
            (listing.list_objects, {"Marker": "NextMarker"}),
        ):
            seen: list[tuple[str, bool]] = []
            for page in self._pages(operation, follow, params):
                items = [(each["Key"], False) for each in page["Contents"]]
                items += [(each["Prefix"], True) for each in page["CommonPrefixes"]]
                seen += sorted(items)
            assert seen == expected(alive, prefix, delimiter)
        follow = {"KeyMarker": "NextKeyMarker", "VersionIdMarker": "NextVersionIdMarker"}
        found = []
        for page in self._pages(version_listing.list_object_versions, follow, params):
            found += [(each["Key"], each["VersionId"]) for each in _entries(page)]
            found += [(each["Prefix"], "") for each in page["CommonPrefixes"]]
        assert sorted(found) == sorted(self._versions_of(prefix, delimiter))

    def _pages(self, operation: Any, follow: dict[str, str], params: dict[str, Any]) -> Any:
        more: dict[str, Any] = {}
        while True:
            page = self.shelf.call(operation, Bucket="shelf", **params, **more)
            yield page
            if not page["IsTruncated"]:
                return
            last = page["Contents"][-1]["Key"] if page.get("Contents") else ""
            more = {name: page.get(source) or "" for name, source in follow.items()}
            more = {name: value for name, value in more.items() if value} or {"Marker": last}

    def _versions_of(self, prefix: str, delimiter: str) -> set[tuple[str, str]]:
        items = dict(expected({key for key in self.model if self.model[key]}, prefix, delimiter))
        entries = {
            (key, each.id)
            for key, versions in self.model.items()
            for each in versions
            if items.get(key) is False
        }
        return entries | {(item, "") for item, is_prefix in items.items() if is_prefix}

    # --- what always holds ---

    @invariant()
    def versions_are_the_models(self) -> None:
        page = self.shelf.call(version_listing.list_object_versions, Bucket="shelf")
        found = [
            (row["Key"], row["VersionId"], row["IsLatest"], row.get("Size"), row.get("ETag"))
            for row in _entries(page)
        ]
        assert found == [
            (key, each.id, place == 0, *_told(each))
            for key in sorted(self.model)
            for place, each in enumerate(self.model[key])
        ]

    @invariant()
    def contents_are_the_models(self) -> None:
        for key, versions in self.model.items():
            for each in versions:
                if each.body is None:
                    code, _ = self.call(reading.get_object, Key=key, VersionId=each.id)
                    assert code == "MethodNotAllowed"
                    continue
                got = self.shelf.get(key, VersionId=each.id)
                assert (got["Body"], got["ETag"]) == (each.body, f'"{each.etag}"')

    @invariant()
    def nothing_is_left_over(self) -> None:
        view = self.shelf.database.view()
        held = {row["blob"] for row in view.all("SELECT blob FROM s3_blob")}
        assert {file.name for file in self.shelf.files()} == held
        small = view.value("SELECT count(*) FROM s3_content")
        assert small <= sum(bool(each.body) for every in self.model.values() for each in every)


def _entries(page: Any) -> list[dict[str, Any]]:
    """Versions and markers as the wire mixes them."""
    rows = {name: iter(page[name]) for name in ("Versions", "DeleteMarkers")}
    return [next(rows[name]) for name in page["_order"]]


def _told(version: Version) -> tuple[int | None, str | None]:
    return (None, None) if version.body is None else (len(version.body), f'"{version.etag}"')


class LockedStore(Store):
    has_locks = True

    @initialize()
    def lock(self) -> None:
        self.shelf.call(buckets.delete_bucket, Bucket="shelf")
        self.shelf.call(buckets.create_bucket, Bucket="shelf", ObjectLockEnabledForBucket=True)
        self.status = "Enabled"

    @rule(hours=st.integers(1, 3))
    def wait(self, hours: int) -> None:
        self.shelf.clock.advance(hours * 3600)

    @rule(key=KEYS, place=PLACES, hold=st.booleans())
    def hold(self, key: str, place: int, hold: bool) -> None:
        version = self.version(key, place)
        if version is None:
            return
        code, _ = self.call(
            retention.put_object_legal_hold,
            Key=key, VersionId=version.id, LegalHold={"Status": "ON" if hold else "OFF"},
        )  # fmt: skip
        assert code == ("MethodNotAllowed" if version.body is None else "")
        version.hold = hold and version.body is not None

    @rule(
        key=KEYS,
        place=PLACES,
        mode=st.sampled_from(locks.MODES),
        hours=st.integers(1, 4),
        bypass=st.booleans(),
    )
    def retain(self, key: str, place: int, mode: str, hours: int, bypass: bool) -> None:
        version = self.version(key, place)
        if version is None or version.body is None:
            return
        now_ms = self.shelf.clock.now_ms
        until_ms = now_ms + hours * HOUR_MS
        moment = datetime.fromtimestamp(until_ms / 1000, UTC)
        code, _ = self.call(
            retention.put_object_retention,
            Key=key, VersionId=version.id, BypassGovernanceRetention=bypass,
            Retention={"Mode": mode, "RetainUntilDate": moment},
        )  # fmt: skip
        grows = mode == version.mode and until_ms >= version.until_ms
        was = Version("", b"", mode=version.mode, until_ms=version.until_ms)
        may = grows or not was.is_locked(now_ms, bypass=bypass)
        assert code == ("" if may else "AccessDenied")
        if may:
            version.mode, version.until_ms = mode, until_ms


TestStore = Store.TestCase
TestStore.settings = settings(max_examples=10, stateful_step_count=15, deadline=None)
TestLockedStore = LockedStore.TestCase
TestLockedStore.settings = settings(max_examples=6, stateful_step_count=15, deadline=None)
