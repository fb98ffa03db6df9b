"""Posts for the stream: made up as they go, recorded, or replayed from a recording.

    python examples/trends/generate.py                        an hour at once, then live
    python examples/trends/generate.py --record posts.jsonl --minutes 30
    python examples/trends/generate.py --replay examples/trends/sample.jsonl --speed 60

Endpoint, region and credentials come from the environment, as for any AWS client; the stream is an
output of the stack.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import takewhile
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from posts import Crowd

BATCH = 500  # records that Kinesis takes at once
ATTEMPTS = 15
SEND_EVERY_S = 0.5
MINUTE_MS = 60_000

Post = dict[str, Any]


def main(words: list[str] | None = None) -> None:
    options = arguments(words)
    if options.replay:
        replay(options)
    elif options.record:
        record(options)
    else:
        live(options)


def arguments(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--stack", default="trends", help="name of the stack [%(default)s]")
    parser.add_argument("--rate", type=float, default=8, help="posts a second [%(default)s]")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--start", help="when the first post is written; ISO 8601")
    parser.add_argument(
        "--minutes", type=float, help="how long; default: 30 recorded, else endless"
    )
    parser.add_argument(
        "--history", type=float, default=60, help="minutes before now [%(default)s]"
    )
    parser.add_argument(
        "--record", type=Path, metavar="FILE", help="write JSON lines, send nothing"
    )
    parser.add_argument("--replay", type=Path, metavar="FILE", help="send what was recorded")
    parser.add_argument(
        "--speed", type=float, default=0, help="of a replay; 0: as fast as possible"
    )
    return parser.parse_args(words)


def record(options: argparse.Namespace) -> None:
    start_ms = milliseconds(options.start or "2026-05-04T18:00:00Z")
    posts = limited(Crowd(options.seed, start_ms, options.rate), options.minutes or 30)
    with options.record.open("w", encoding="utf-8") as file:
        for post in posts:
            file.write(json.dumps(post, ensure_ascii=False, separators=(",", ":")) + "\n")


def replay(options: argparse.Namespace) -> None:
    lines = options.replay.read_text(encoding="utf-8").splitlines()
    posts = [json.loads(line) for line in lines]
    paced(posts, Stream(options.stack), posts[0]["seen"], options.speed)


def live(options: argparse.Namespace) -> None:
    now = int(time.time() * 1000)
    start_ms = int(now - options.history * MINUTE_MS)
    if options.start:
        start_ms = milliseconds(options.start)
    crowd = Crowd(options.seed, start_ms, options.rate)
    posts = limited(crowd, options.minutes) if options.minutes else crowd.posts()
    try:
        paced(posts, Stream(options.stack), now, 1)
    except KeyboardInterrupt:
        print()


def limited(crowd: Crowd, minutes: float) -> Iterator[Post]:
    until = crowd.start_ms + minutes * MINUTE_MS
    return takewhile(lambda post: post["seen"] < until, crowd.posts())


def paced(posts: Iterable[Post], stream: "Stream", origin_ms: int, speed: float) -> None:
    """Sends each post when it was seen: `speed` times as long after now as after `origin_ms`."""
    began, sent, waiting = time.monotonic(), 0, list[Post]()
    last_sent = began
    for post in posts:
        ahead_s = (post["seen"] - origin_ms) / 1000 / speed if speed else 0.0
        pause = began + ahead_s - time.monotonic()
        is_due = time.monotonic() > last_sent + SEND_EVERY_S or pause > SEND_EVERY_S
        if waiting and (len(waiting) == BATCH or (speed and is_due)):
            sent += stream.send(waiting)
            waiting, last_sent = [], time.monotonic()
            print(f"\r{sent} posts", end="", file=sys.stderr, flush=True)
        if (pause := began + ahead_s - time.monotonic()) > 0:
            time.sleep(pause)
        waiting.append(post)
    sent += stream.send(waiting)
    print(f"\r{sent} posts", file=sys.stderr)


def milliseconds(moment: str) -> int:
    return int(datetime.fromisoformat(moment).timestamp() * 1000)


def outputs_of(stack: str) -> dict[str, str]:
    try:
        found = boto3.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]
    except (BotoCoreError, ClientError) as error:
        sys.exit(f'{error}\nIs the stack up? Is the environment set: eval "$(cloudlet env)"?')
    return {one["OutputKey"]: one["OutputValue"] for one in found["Outputs"]}


class Stream:
    def __init__(self, stack: str) -> None:
        outputs = outputs_of(stack)
        self.name = outputs["Stream"]
        self.kinesis = boto3.client("kinesis")

    def send(self, posts: list[Post]) -> int:
        """PutRecords answers 200 when some were refused: those, and only those, go again."""
        entries = [
            {"Data": json.dumps(post, ensure_ascii=False).encode(), "PartitionKey": post["id"]}
            for post in posts
        ]
        for attempt in range(ATTEMPTS if entries else 0):
            answer = self.kinesis.put_records(StreamName=self.name, Records=entries)
            if not answer["FailedRecordCount"]:
                break
            results = zip(entries, answer["Records"], strict=True)
            entries = [entry for entry, result in results if "ErrorCode" in result]
            time.sleep(min(0.05 * 2**attempt, 2))
        else:
            if entries:
                sys.exit(f"Kinesis refused {len(entries)} posts {ATTEMPTS} times.")
        return len(posts)


if __name__ == "__main__":
    main()
