"""Where counts are kept, as those who write and those who read them must agree.

A row of the table is one bucket of event time and one part of the posts: `10s#2` or `1m#2` and its
start. Rows of a minute repeat what their six rows of ten seconds say, so that an hour is read in
60 instead of 360. Counts are one JSON text: rows are read and written as a whole, and an hour of
maps would cost its readers twenty times as much.

Parts spread hot buckets. A post's part is the first two bits of the MD5 by which Kinesis picks the
shard: with 1, 2 or 4 even shards, each part has one shard that writes it.
"""

from hashlib import md5

PARTS = 4
STEPS = {"10s": 10, "1m": 60}


def part_of(post_id: str) -> int:
    return md5(post_id.encode(), usedforsecurity=False).digest()[0] >> 6


def row(step: str, part: int) -> str:
    return f"{step}#{part}"


def start_of(step: str, moment: int) -> int:
    return moment - moment % STEPS[step]
