"""Versioned buckets against a model: of each key a list of versions, the newest first."""

from contextlib import ExitStack
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from cloudlet.errors import AwsError
from cloudlet.s3 import bulk, version_listing
from tests.property.test_s3 import shelves
from tests.unit.s3.test_listing import keys, v2
from tests.unit.s3.test_versions import delete, everything, turn

NAMES = st.sampled_from(["a", "b", "b/1"])
BODIES = st.sampled_from([b"", b"x", b"y" * 70_000])
Version = tuple[str, bytes | None]  # id, contents; None for a delete marker


class VersionsMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        self.shelf = self._stack.enter_context(shelves())
        self.status = ""
        self.model: dict[str, list[Version]] = {}

    def teardown(self) -> None:
        self._stack.close()

    def _add(self, key: str, version_id: str, body: bytes | None) -> None:
        there = self.model.setdefault(key, [])
        if version_id == "null":
            there[:] = [each for each in there if each[0] != "null"]
        there.insert(0, (version_id, body))

    @rule(status=st.sampled_from(["Enabled", "Suspended"]))
    def switch(self, status: str) -> None:
        turn(self.shelf, status)
        self.status = status

    @rule(key=NAMES, body=BODIES)
    def put(self, key: str, body: bytes) -> None:
        output = self.shelf.put(key, body)
        assert ("VersionId" in output) == (self.status == "Enabled")
        self._add(key, output.get("VersionId", "null"), body)

    @rule(key=NAMES)
    def delete(self, key: str) -> None:
        output = delete(self.shelf, key)
        if self.status:
            self._add(key, output["VersionId"], None)
        else:
            self.model.pop(key, None)

    @rule(key=NAMES, which=st.integers(0, 3), at_once=st.booleans())
    def remove(self, key: str, which: int, at_once: bool) -> None:
        versions = self.model.get(key, [])
        version_id = versions.pop(which)[0] if which < len(versions) else "null"
        versions[:] = [each for each in versions if each[0] != version_id]
        if at_once:
            named = {"Objects": [{"Key": key, "VersionId": version_id}]}
            self.shelf.call(bulk.delete_objects, Bucket="shelf", Delete=named)
        else:
            delete(self.shelf, key, VersionId=version_id)

    @invariant()
    def listings_agree(self) -> None:
        wanted = [
            (key, version_id, place == 0, body is None)
            for key in sorted(self.model)
            for place, (version_id, body) in enumerate(self.model[key])
        ]
        page = everything(self.shelf)
        for kind, is_marker in (("Versions", False), ("DeleteMarkers", True)):
            found = [(row["Key"], row["VersionId"], row["IsLatest"]) for row in page[kind]]
            assert found == [each[:3] for each in wanted if each[3] == is_marker]
        assert keys(v2(self.shelf)) == [each[0] for each in wanted if each[2] and not each[3]]
        assert self._paged() == {each[:2] for each in wanted}

    def _paged(self) -> set[Any]:
        seen: set[Any] = set()
        more: dict[str, Any] = {}
        while True:
            page = self.shelf.call(
                version_listing.list_object_versions, Bucket="shelf", MaxKeys=2, **more
            )
            for row in [*page["Versions"], *page["DeleteMarkers"]]:
                assert (row["Key"], row["VersionId"]) not in seen
                seen.add((row["Key"], row["VersionId"]))
            if not page["IsTruncated"]:
                return seen
            more = {
                "KeyMarker": page["NextKeyMarker"],
                "VersionIdMarker": page["NextVersionIdMarker"],
            }

    @invariant()
    def contents_agree(self) -> None:
        big = 0
        for key, versions in self.model.items():
            for version_id, body in versions:
                try:
                    got = self.shelf.get(key, VersionId=version_id)["Body"]
                except AwsError as error:
                    assert error.code == "MethodNotAllowed"
                    got = None
                assert got == body
                big += len(body or b"") > 65_536
        assert len(self.shelf.files()) == big
        rows = self.shelf.database.view().value("SELECT count(*) FROM s3_content")
        small = [body for each in self.model.values() for _, body in each if body == b"x"]
        assert rows == len(small)


TestVersions = VersionsMachine.TestCase
TestVersions.settings = settings(max_examples=25, stateful_step_count=15, deadline=None)
