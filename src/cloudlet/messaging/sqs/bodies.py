"""Server-side encryption of queues: bodies are kept sealed, unless a queue says otherwise.
Attributes are not, as on AWS.

A queue uses a data key for as long as its reuse period says. Keys are derived from the data
folder's master key, and a sealed body begins with what its key is derived from: so it may move to
another queue, or its queue may change, without being sealed anew.
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-server-side-encryption.html
"""

import struct

from cloudlet.messaging.sqs.queues import Queue
from cloudlet.store.sealing import Master, Wrapper

_HEAD = struct.Struct(">IQ")


def sealed(master: Master, queue: Queue, body: str, now_ms: int) -> str | bytes:
    if not queue.is_sealed:
        return body
    reuse_s = queue.number("KmsDataKeyReusePeriodSeconds")
    turn = now_ms // (reuse_s * 1000)
    return _HEAD.pack(reuse_s, turn) + _key(master, reuse_s, turn).seal(body.encode())


def opened(master: Master, kept: str | bytes) -> str:
    if isinstance(kept, str):
        return kept
    return _key(master, *_HEAD.unpack_from(kept)).open(kept[_HEAD.size :]).decode()


def _key(master: Master, reuse_s: int, turn: int) -> Wrapper:
    return master.derived(f"sqs/{reuse_s}/{turn}")
