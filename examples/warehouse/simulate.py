"""Writes the orders of a small chain of shops into the Orders table: `--help` tells the options.

The same seed and the same last day make the same orders, on cloudlet (AWS_ENDPOINT_URL) and on AWS.
They come in the order in which they were recorded: some days late. `--corrections` corrects and
cancels some of the orders that the run before it wrote.
"""

import argparse
import json
import math
import random
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, time, timedelta
from typing import Any

import boto3
from botocore.exceptions import ClientError

Order = dict[str, Any]
WRITERS = 8
STORES = [
    {"id": "S-01", "name": "Wien Mitte", "city": "Wien"},
    {"id": "S-02", "name": "Graz Hauptplatz", "city": "Graz"},
    {"id": "S-03", "name": "Linz Donaupark", "city": "Linz"},
    {"id": "S-04", "name": "Salzburg Altstadt", "city": "Salzburg"},
]
BUSY = (5, 3, 2, 3)  # how the stores share the customers
CITIES = ("Wien", "Graz", "Linz", "Salzburg", "Innsbruck", "Steyr")
SEGMENTS = ("private", "member", "business")
PRODUCTS = [  # name, category, cents
    ("Espresso beans 1 kg", "Coffee", 2190),
    ("Filter coffee 500 g", "Coffee", 1150),
    ("Decaf beans 500 g", "Coffee", 1390),
    ("Assam tea 250 g", "Tea", 890),
    ("Mountain herbs 100 g", "Tea", 640),
    ("Earl Grey 100 g", "Tea", 720),
    ("Dark chocolate 70 %", "Sweets", 390),
    ("Hazelnut nougat", "Sweets", 450),
    ("Butter biscuits", "Sweets", 320),
    ("Apricot jam", "Pantry", 540),
    ("Pumpkin seed oil", "Pantry", 1490),
    ("Forest honey", "Pantry", 980),
    ("Moka pot", "Equipment", 3490),
    ("Hand grinder", "Equipment", 8900),
    ("Porcelain cup", "Equipment", 1290),
    ("Teapot 1 l", "Equipment", 4250),
]
WEEK = (0.8, 0.8, 0.9, 1.0, 1.3, 1.7, 0.5)  # Monday … Sunday


def simulated(seed: int, count: int, last: date, days: int) -> list[Order]:
    """As they were recorded: by time, the late ones days after they were made."""
    chance = random.Random(f"orders {seed}")
    calendar = [last - timedelta(days=back) for back in reversed(range(days))]
    customers = customers_of(chance, max(12, count // 8), calendar[0], last)
    dates = chance.choices(calendar, [season(day) for day in calendar], k=count)
    orders = [
        order(chance, f"O-{seed}-{number:06}", day, customers)
        for number, day in enumerate(sorted(dates))
    ]
    return sorted(orders, key=lambda order: order["recorded_at"])


def season(day: date) -> float:
    """Saturdays, and the weeks before Christmas."""
    advent = 1.6 if (day.month, day.day) >= (11, 24) else 1.0
    return WEEK[day.weekday()] * advent * (1 + 0.25 * math.cos(day.timetuple().tm_yday / 58.1))


def customers_of(chance: random.Random, count: int, first: date, last: date) -> list[list[Order]]:
    """Each a list of versions: some move or change their segment while we watch."""
    customers = []
    for number in range(count):
        known = {
            "id": f"C-{number:05}",
            "segment": chance.choices(SEGMENTS, (6, 3, 1))[0],
            "city": chance.choice(CITIES),
            "since": (first - timedelta(days=chance.randrange(30, 900))).isoformat(),
        }
        versions = [known]
        if chance.random() < 0.15:
            at = first + timedelta(days=chance.randrange(1, max(2, (last - first).days)))
            change = chance.choice(({"city": chance.choice(CITIES)}, {"segment": "business"}))
            versions.append(known | change | {"since": at.isoformat()})
        customers.append(versions)
    return customers


def order(chance: random.Random, order_id: str, day: date, customers: list[list[Order]]) -> Order:
    made = datetime.combine(day, time(8)) + timedelta(seconds=chance.randrange(11 * 3600))
    is_late = chance.random() < 0.06
    recorded = made + timedelta(seconds=chance.randrange(1, 90))
    if is_late:
        recorded += timedelta(days=chance.randrange(1, 9), hours=chance.randrange(1, 12))
    versions = chance.choice(customers)
    known = [version for version in versions if version["since"] <= day.isoformat()]
    return {
        "order_id": order_id,
        "order_date": day.isoformat(),
        "ordered_at": f"{made.isoformat()}Z",
        "recorded_at": f"{recorded.isoformat()}Z",
        "version": 1,
        "status": "placed",
        "customer": known[-1],
        "store": chance.choices(STORES, BUSY)[0],
        "lines": lines_of(chance),
    }


def lines_of(chance: random.Random) -> list[Order]:
    numbers = chance.sample(range(len(PRODUCTS)), chance.choices((1, 2, 3, 4), (4, 3, 2, 1))[0])
    return [line(chance, number) for number in numbers]


def line(chance: random.Random, number: int) -> Order:
    name, category, cents = PRODUCTS[number]
    quantity = chance.choices((1, 2, 3, 6), (6, 3, 1, 1))[0]
    percent = chance.choices((0, 5, 10), (8, 1, 1))[0]
    return {
        "sku": f"P-{number:03}",
        "name": name,
        "category": category,
        "quantity": quantity,
        "unit_price_cents": cents,
        "discount_cents": quantity * cents * percent // 100,
    }


def corrected(seed: int, orders: Iterable[Order]) -> Iterator[Order]:
    """The next version of some: another quantity, one line less, or all of it cancelled."""
    chance = random.Random(f"corrections {seed}")
    for order in orders:
        fate = chance.random()
        if fate > 0.12:
            continue
        at = datetime.fromisoformat(order["recorded_at"]) + timedelta(hours=chance.randrange(5, 90))
        new = order | {
            "version": order["version"] + 1,
            "corrected_at": at.isoformat().replace("+00:00", "Z"),
        }
        if fate < 0.04:
            yield new | {"status": "cancelled"}
        elif fate < 0.07 and len(order["lines"]) > 1:
            yield new | {"lines": order["lines"][1:]}
        else:
            first, *others = order["lines"]
            yield new | {"lines": [first | {"quantity": first["quantity"] + 1}, *others]}


def write(table: Any, orders: Iterable[Order]) -> int:
    """Side by side, never over a newer version: so a run may be repeated."""

    def put(order: Order) -> bool:
        try:
            table.put_item(
                Item=order,
                ConditionExpression="attribute_not_exists(order_id) OR version < :version",
                ExpressionAttributeValues={":version": order["version"]},
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            return False
        return True

    with ThreadPoolExecutor(WRITERS) as writers:
        return sum(writers.map(put, orders))


def outputs(stack: str) -> dict[str, str]:
    (found,) = boto3.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
    return {output["OutputKey"]: output["OutputValue"] for output in found["Outputs"]}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=500, help="how many (500)")
    parser.add_argument("--days", type=int, default=90, help="over how many days (90)")
    parser.add_argument("--last", type=date.fromisoformat, default=date.today(), help="(today)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--corrections", action="store_true", help="correct the same run's orders")
    parser.add_argument("--transform", action="store_true", help="only start the nightly run, now")
    parser.add_argument("--stack", default="warehouse", help="whose outputs name the resources")
    return parser.parse_args()


def main() -> None:
    asked = arguments()
    found = outputs(asked.stack)
    if asked.transform:
        boto3.client("lambda").invoke(
            FunctionName=found["TransformFunction"], InvocationType="Event", Payload=json.dumps({})
        )
        print("transform was started; rollup follows it")
        return
    orders = simulated(asked.seed, asked.orders, asked.last, asked.days)
    wanted = list(corrected(asked.seed, orders)) if asked.corrections else orders
    written = write(boto3.resource("dynamodb").Table(found["OrdersTable"]), wanted)
    print(f"{written} of {len(wanted)} orders written, the others were there already")


if __name__ == "__main__":
    main()
