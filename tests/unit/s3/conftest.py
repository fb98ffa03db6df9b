"""A cloud with S3's tables and one bucket, "shelf"."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cloudlet.call import Call, Caller, Params
from cloudlet.exchange import Body, Request
from cloudlet.front.dispatcher import Dispatcher
from cloudlet.kms import service as kms_service
from cloudlet.kms.schema import SCHEMA as KMS_SCHEMA
from cloudlet.s3 import buckets, completion, multipart, objects, reading
from cloudlet.s3.schema import SCHEMA
from tests.harness import ROOT, Bench

BUCKET = "shelf"


S3_MAY = {"Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"}, "Action": "*"}


def policy_of(**changes: Any) -> str:
    return json.dumps(
        {"Version": "2012-10-17", "Statement": {**S3_MAY, "Resource": "*", **changes}}
    )


class Shelf(Bench):
    """Shortcuts for the operations that most tests need; functions and queues let S3 in. The key
    service is the real one."""

    def __init__(self, folder: Path, *schemas: str) -> None:
        super().__init__(folder, KMS_SCHEMA, *schemas)
        self.dispatcher = Dispatcher()
        self.dispatcher.cloud = self.cloud
        self.dispatcher.add(kms_service.service())
        self.answers["GetPolicy"] = {"Policy": policy_of()}
        self.answers["GetQueueAttributes"] = {"Attributes": {"Policy": policy_of()}}

    async def _invoke(
        self, service: str, operation: str, params: Params, caller: Caller | None = None
    ) -> Params:
        if service != "kms":
            return await super()._invoke(service, operation, params, caller)
        return await self.dispatcher.invoke(service, operation, params, caller)

    def put(self, key: str, body: bytes = b"", **params: Any) -> Any:
        return self.call(objects.put_object, body, Bucket=BUCKET, Key=key, **params)

    def get(self, key: str, **params: Any) -> Any:
        """Output with the whole body as bytes."""
        output = self.call(reading.get_object, Bucket=BUCKET, Key=key, **params)
        return {**output, "Body": drained(output["Body"])}

    def start(self, key: str, **params: Any) -> str:
        output = self.call(multipart.create_multipart_upload, Bucket=BUCKET, Key=key, **params)
        upload_id: str = output["UploadId"]
        return upload_id

    def part(self, key: str, upload: str, number: int, body: bytes, **params: Any) -> Any:
        return self.call(
            multipart.upload_part, body,
            Bucket=BUCKET, Key=key, UploadId=upload, PartNumber=number, **params,
        )  # fmt: skip

    def complete(self, key: str, upload: str, parts: list[dict[str, Any]], **params: Any) -> Any:
        return self.call(
            completion.complete_multipart_upload,
            Bucket=BUCKET, Key=key, UploadId=upload, MultipartUpload={"Parts": parts}, **params,
        )  # fmt: skip

    def files(self) -> list[Path]:
        return [file for file in (self.config.data / "blobs").rglob("*") if file.is_file()]

    def made(self, caller: Caller = ROOT, operation: str = "", **params: Any) -> Call:
        request = Request("GET", "/", "", {}, Body.of(b""), id="test-request")
        return Call(self.cloud, "s3", operation, params, caller, request)


def drained(body: Any) -> bytes:
    async def run() -> bytes:
        if isinstance(body, bytes):
            return body
        chunks = [chunk async for chunk in body]
        await body.aclose()
        return b"".join(chunks)

    return asyncio.run(run())


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    bench = Shelf(tmp_path, SCHEMA)
    bench.call(buckets.create_bucket, Bucket=BUCKET)
    yield bench
    bench.close()
