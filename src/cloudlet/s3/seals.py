"""What keeps an object's data keys, as answers tell of it and as it is stored.

Stored members that begin with "_" are never shown: the data key of SSE-KMS, as the key service
encrypted it. `{}` stands for SSE-S3, the default.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/serv-side-encryption.html
"""

from dataclasses import dataclass
from typing import Any

from cloudlet.call import Output
from cloudlet.config import Config
from cloudlet.store.blobs import Segment
from cloudlet.store.sealing import Wrapper

Kept = dict[str, Any]  # output members, and hidden ones
_S3: Kept = {"ServerSideEncryption": "AES256"}
HEADER = "x-amz-server-side-encryption"


@dataclass(frozen=True, slots=True)
class Seal:
    """How something is sealed, and what opens it."""

    kept: Kept
    wrapper: Wrapper

    def etag(self, config: Config, md5: bytes) -> str:
        """s3-050: an MD5 would tell of contents that nobody may know without the key."""
        return config.new_secret(len(md5)) if self.kept else md5.hex()


def shown(kept: Kept) -> Output:
    if not kept:
        return _S3
    return {name: value for name, value in kept.items() if not name.startswith("_")}


def rewrapped(segments: list[Segment], old: Seal, new: Seal) -> list[Segment]:
    """The same bytes, for an object that is kept otherwise."""
    if old.kept == new.kept:
        return list(segments)
    keys = {each.key: new.wrapper.wrap(old.wrapper.unwrap(each.key).key) for each in segments}
    return [each._replace(key=keys[each.key]) for each in segments]
