"""Buckets at other S3 endpoints that this account replicates to: who they are, and asking them.

A file for each in the data folder (and in the replica), `remotes/<bucket>.json`, which `cloudlet
remote` writes and a running cloudlet reads at each use. The secret key in it is sealed under the
folder's master key.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/replication.html
"""

import base64
import io
import json
import re
import time
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from botocore import xform_name
from urllib3 import HTTPResponse
from urllib3.exceptions import HTTPError

from cloudlet.call import Output, Params
from cloudlet.config import REMOTES, Config
from cloudlet.errors import AwsError
from cloudlet.store import integrity, lineage
from cloudlet.store.sealing import Master, Wrapper
from cloudlet.wire import outbound

_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
HEADER = "x-cloudlet-replica"  # of what is written there
_TIMEOUTS_S = 10, 120  # to connect, and for each piece
_ANSWER_S = 300
_ANSWER_BYTES_MAX = 4 << 20  # none that is asked for has so much
_PIECE_BYTES = 64 << 10
_TOLD_MAX = 500


@dataclass(frozen=True, slots=True)
class Remote:
    """`name` is what rules here call it ("arn:aws:s3:::name"), `bucket` what it is over there."""

    name: str
    endpoint: str
    region: str
    bucket: str
    access_key: str
    secret: str = field(repr=False)  # sealed, base64


def add(config: Config, remote: Remote) -> None:
    """`remote.secret` comes in the clear."""
    if not _NAME.fullmatch(remote.name) or not _NAME.fullmatch(remote.bucket):
        raise AwsError("InvalidBucketName", f"{remote.name!r} cannot be a bucket's name", 400)
    if not re.match(r"https?://[^/]+", remote.endpoint):
        raise AwsError("InvalidEndpoint", f"{remote.endpoint!r} is not http:// or https://", 400)
    sealed = base64.b64encode(_wrapper(config.data).seal(remote.secret.encode())).decode()
    document = {each: getattr(remote, each) for each in ("endpoint", "region", "bucket")}
    document |= {"access_key": remote.access_key, "secret": sealed}
    path = _path(config, remote.name)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    integrity.save(path, json.dumps(document))
    if twin := _twin(config, path):
        with suppress(OSError):  # it gets it when it can be written again
            integrity.copy(path, twin)


def remove(config: Config, name: str) -> None:
    path = _path(config, name)
    try:
        path.unlink()
    except FileNotFoundError as error:
        raise AwsError("NoSuchRemote", f"no bucket {name} elsewhere is known", 404) from error
    if twin := _twin(config, path):
        with suppress(OSError):
            twin.unlink()


def known(config: Config) -> list[Remote]:
    paths = sorted((config.data / REMOTES).glob("*.json"))
    return [found for path in paths if (found := find(config, path.stem))]


def find(config: Config, name: str) -> Remote | None:
    try:
        return Remote(name, **json.loads(_path(config, name).read_text()))
    except FileNotFoundError:
        return None


def trouble(config: Config, name: str) -> str:
    """Why nothing can be copied there now; "" if it can. A key may well be there to write only."""
    remote = find(config, name)
    try:
        if remote:
            _ask(config.data, remote, "ListObjectsV2", {"MaxKeys": 1})
    except AwsError as error:
        return "" if error.code == "AccessDenied" else f"{error.code}: {error.message}"
    return ""


async def ask(config: Config, remote: Remote, operation: str, params: Params) -> Output:
    """An S3 operation over there. Raises AwsError: 503 where nobody answers."""
    return await outbound.behind(_ask, config.data, remote, operation, params)


def _ask(data: Path, remote: Remote, operation: str, params: Params) -> Output:
    from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

    try:
        output: Output = getattr(_client(data, remote), xform_name(operation))(
            **{**params, "Bucket": remote.bucket}
        )
    except ClientError as error:
        found, status = error.response["Error"], error.response["ResponseMetadata"]
        code = status.get("HTTPStatusCode", 500)
        told = _line(found.get("Code", "")), _line(found.get("Message", ""))
        raise AwsError(*told, code) from error
    except (BotoCoreError, HTTPClientError, OSError, RecursionError, ValueError) as error:
        message = _line(f"{remote.endpoint}: {error}")
        raise AwsError("ServiceUnavailable", message, 503) from error
    return output


def _line(text: str) -> str:
    """Of what others say: short, and one line of a log."""
    return "".join(letter if letter.isprintable() else " " for letter in str(text)[:_TOLD_MAX])


@lru_cache(maxsize=32)
def _client(data: Path, remote: Remote) -> Any:
    import botocore.session
    from botocore.config import Config as ClientConfig
    from botocore.httpsession import URLLib3Session
    from botocore.utils import get_environ_proxies

    secret = _wrapper(data).open(base64.b64decode(remote.secret)).decode()
    is_aws = remote.endpoint.endswith((".amazonaws.com", ".amazonaws.com/"))
    client = botocore.session.Session().create_client(
        "s3",
        region_name=remote.region,
        endpoint_url=remote.endpoint,
        aws_access_key_id=remote.access_key,
        aws_secret_access_key=secret,
        config=ClientConfig(
            signature_version="s3v4",
            s3={"addressing_style": "virtual" if is_aws else "path"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            retries={"total_max_attempts": 1},  # the outbox tries again, and remembers
            connect_timeout=_TIMEOUTS_S[0],
            read_timeout=_TIMEOUTS_S[1],
        ),
    )
    sender = URLLib3Session(
        proxies=get_environ_proxies(remote.endpoint),
        timeout=_TIMEOUTS_S,  # type: ignore[arg-type]  # (to connect, to read), too
        max_pool_connections=32,
    )
    client.meta.events.register("before-call.s3", _mark)
    client.meta.events.register("before-send.s3", partial(_send, sender, is_aws))
    return client


def _mark(params: Any, **_: object) -> None:
    params["headers"][HEADER] = "true"


def _send(sender: Any, is_aws: bool, request: Any, **_: object) -> Any:
    """As botocore does, but it would read an answer however long, and follow whoever redirects
    from one place to the next."""
    from botocore.awsrequest import AWSResponse
    from botocore.exceptions import HTTPClientError

    request.stream_output = True
    answer = sender.send(request)
    data, until_s = bytearray(), time.monotonic() + _ANSWER_S
    try:
        if 300 <= answer.status_code < 400 and not is_aws:
            raise HTTPClientError(error=f"it redirects ({answer.status_code})")
        while piece := answer.raw.read1(_PIECE_BYTES):
            data += piece
            if len(data) > _ANSWER_BYTES_MAX or time.monotonic() > until_s:
                raise HTTPClientError(error="its answer does not end")
    except BaseException as error:
        answer.raw.close()
        if isinstance(error, HTTPError):
            raise HTTPClientError(error=error) from error
        raise
    answer.raw.release_conn()
    body = HTTPResponse(io.BytesIO(data), preload_content=False)
    return AWSResponse(answer.url, answer.status_code, answer.headers, body)


def _path(config: Config, name: str) -> Path:
    return config.data / REMOTES / f"{name}.json"


def _twin(config: Config, path: Path) -> Path | None:
    """Its place in the second directory, if that is there."""
    other = lineage.other(config.whole_data)
    twin = other / path.relative_to(config.whole_data) if other and other.is_dir() else None
    return None if twin and twin.parent.is_symlink() else twin


def _wrapper(data: Path) -> Wrapper:
    return Master(data / "master-key").wrapper
