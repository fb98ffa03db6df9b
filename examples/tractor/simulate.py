"""Sends a fleet's telemetry to the stream, and fits the parts that were ordered.

    python examples/tractor/simulate.py --speed 120 --seed 7 --truth truth.json

Endpoint, region and credentials come from the environment, as for any AWS client; the stream and
the tables are the outputs of the stack. What breaks and when is printed; `--truth` writes it all.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from wear import Fleet

DELIVERY_S = 20 * 60  # from the accepted order to the part on the field
BATCH = 500  # records that Kinesis takes at once
TOGETHER = 5  # of one machine
ATTEMPTS = 12
ASK_EVERY_S = 1.0
FIRST_DAY = "2026-05-04T06:00:00Z"


def main() -> None:
    options = arguments()
    cloud = Cloud(options.stack)
    start, installed = cloud.resume()
    start = max(start, int(datetime.fromisoformat(options.start).timestamp()))
    fleet = Fleet(options.machines, options.seed, start, installed)
    say(start, f"{options.machines} tractors start, {options.speed:g} times as fast as time")
    try:
        run(fleet, cloud, options)
    except KeyboardInterrupt:
        print()
    if options.truth:
        options.truth.write_text(json.dumps([part.truth() for part in fleet.parts()], indent=1))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--stack", default="tractor", help="name of the stack [%(default)s]")
    parser.add_argument("--machines", type=int, default=12)
    parser.add_argument("--speed", type=float, default=120, help="0: as fast as possible")
    parser.add_argument("--hours", type=float, default=1e6, help="how long, in the fleet's time")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--start", default=FIRST_DAY, help="or later, if the fleet was there")
    parser.add_argument("--truth", type=Path, metavar="FILE", help="what really happened, as JSON")
    return parser.parse_args()


def run(fleet: Fleet, cloud: "Cloud", options: argparse.Namespace) -> None:
    start, began, asked = fleet.now, time.monotonic(), 0.0
    waiting: list[dict[str, Any]] = []
    told: set[int] = set()
    while fleet.now < start + options.hours * 3600:
        waiting += fleet.step()
        due = began + (fleet.now - start) / options.speed if options.speed else 0.0
        pause = due - time.monotonic()
        if len(waiting) >= BATCH or pause > 0:
            cloud.send(waiting)
            waiting = []
            time.sleep(max(due - time.monotonic(), 0))
        tell_failures(fleet, told)
        if time.monotonic() > asked + ASK_EVERY_S:
            asked = time.monotonic()
            for machine, part in cloud.deliveries(fleet):
                fleet.replace(machine, part)
                say(fleet.now, f"{machine}: {part} was replaced, as ordered")
    cloud.send(waiting)


def tell_failures(fleet: Fleet, told: set[int]) -> None:
    for machine in fleet.machines.values():
        for part in machine.broken:
            if id(part) not in told:
                told.add(id(part))
                say(fleet.now, f"{machine.name}: {part.name} {part.installation} FAILED")


def say(moment: int, text: str) -> None:
    print(f"{datetime.fromtimestamp(moment, UTC):%d %b %H:%M}  {text}", flush=True)


def outputs_of(stack: str) -> dict[str, str]:
    try:
        found = boto3.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]
    except (BotoCoreError, ClientError) as error:
        sys.exit(f'{error}\nIs the stack up? Is the environment set: eval "$(cloudlet env)"?')
    return {one["OutputKey"]: one["OutputValue"] for one in found["Outputs"]}


class Cloud:
    """The stream to send to, and the orders to fulfil."""

    def __init__(self, stack: str) -> None:
        outputs = outputs_of(stack)
        self.kinesis = boto3.client("kinesis")
        self.stream = outputs["Stream"]
        tables = boto3.resource("dynamodb")
        self.machines = tables.Table(outputs["Machines"])
        self.orders = tables.Table(outputs["Orders"])

    def resume(self) -> tuple[int, dict[str, dict[str, int]]]:
        """From when on the fleet's readings are news, and what its machines have installed."""
        states = {item["machine"]: json.loads(item["state"]) for item in scan(self.machines)}
        latest = max((state["at"] for state in states.values()), default=0)
        installed = {
            machine: {name: part["installation"] for name, part in state["parts"].items()}
            for machine, state in states.items()
        }
        return -(-latest // 3600) * 3600, installed

    def deliveries(self, fleet: Fleet) -> list[tuple[str, str]]:
        """(machine, part) of orders that were accepted and have had their time on the road."""
        return [
            (str(order["machine"]), str(order["name"]))
            for order in scan(self.orders)
            if order["state"] == "accepted"
            and fleet.now >= order["ordered_at"] + DELIVERY_S
            and order["machine"] in fleet.machines
            and order["installation"]
            == fleet.machines[str(order["machine"])].parts[str(order["name"])].installation
        ]

    def send(self, records: list[dict[str, Any]]) -> None:
        """What Kinesis refuses comes after what it took of the same batch. So no batch holds more
        than a minute of a machine: it is late then, but not too late for its window."""
        size = min(BATCH, TOGETHER * len({record["machine"] for record in records}))
        for first in range(0, len(records), size or 1):
            entries = [
                {"Data": json.dumps(record).encode(), "PartitionKey": record["machine"]}
                for record in records[first : first + size]
            ]
            self._send(entries)

    def _send(self, entries: list[dict[str, Any]]) -> None:
        """PutRecords answers 200 when some were refused: those, and only those, go again."""
        for attempt in range(ATTEMPTS):
            answer = self.kinesis.put_records(StreamName=self.stream, Records=entries)
            if not answer["FailedRecordCount"]:
                return
            results = zip(entries, answer["Records"], strict=True)
            entries = [entry for entry, result in results if "ErrorCode" in result]
            time.sleep(min(0.05 * 2**attempt, 2))
        sys.exit(f"Kinesis refused {len(entries)} readings {ATTEMPTS} times.")


def scan(table: Any) -> Iterator[dict[str, Any]]:
    more: dict[str, Any] = {}
    while True:
        found = table.scan(ConsistentRead=True, **more)
        yield from found["Items"]
        if "LastEvaluatedKey" not in found:
            return
        more = {"ExclusiveStartKey": found["LastEvaluatedKey"]}


if __name__ == "__main__":
    main()
