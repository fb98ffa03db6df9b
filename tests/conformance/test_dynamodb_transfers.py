"""Sixteen writers move money between accounts: at every read the total is what it was."""

import random
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.server import Server

WRITERS = 16
TRANSFERS = 25  # of each writer
ACCOUNTS = 8
START = 50


class Bank:
    def __init__(self, server: Server, table: str) -> None:
        self.client = server.client("dynamodb")
        self.table = {"TableName": table}
        self.client.create_table(
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
            **self.table,
        )
        for number in range(ACCOUNTS):
            item = {"id": {"S": str(number)}, "balance": {"N": str(START)}, "moves": {"N": "0"}}
            self.client.put_item(Item=item, **self.table)

    def accounts(self, *numbers: int) -> list[dict[str, Any]]:
        gets = [{"Get": {"Key": {"id": {"S": str(each)}}, **self.table}} for each in numbers]
        responses = self.client.transact_get_items(TransactItems=gets)["Responses"]
        return [response["Item"] for response in responses]

    def move_blindly(self, source: int, target: int, amount: int) -> bool:
        """Relative updates; the condition keeps the account from being overdrawn."""
        changes = []
        for number, delta in ((source, -amount), (target, amount)):
            update = {
                "Key": {"id": {"S": str(number)}},
                "UpdateExpression": "ADD balance :delta, moves :one",
                "ConditionExpression": "balance >= :least",
                "ExpressionAttributeValues": {
                    ":delta": {"N": str(delta)},
                    ":one": {"N": "1"},
                    ":least": {"N": str(max(0, -delta))},
                },
            }
            changes.append({"Update": update | self.table})
        return self._try(changes)

    def move_as_read(self, source: int, target: int, amount: int) -> bool:
        """Reads both, and writes if neither has changed."""
        changes = []
        accounts = self.accounts(source, target)
        if int(accounts[0]["balance"]["N"]) < amount:
            return False
        for account, delta in zip(accounts, (-amount, amount), strict=True):
            moves = account["moves"]
            changed = account | {
                "balance": {"N": str(int(account["balance"]["N"]) + delta)},
                "moves": {"N": str(int(moves["N"]) + 1)},
            }
            put = {
                "Item": changed,
                "ConditionExpression": "moves = :moves",
                "ExpressionAttributeValues": {":moves": moves},
            }
            changes.append({"Put": put | self.table})
        return self._try(changes)

    def _try(self, changes: list[dict[str, Any]]) -> bool:
        try:
            self.client.transact_write_items(TransactItems=changes)
        except ClientError as error:
            codes = {each["Code"] for each in error.response["CancellationReasons"]}
            assert codes <= {"None", "ConditionalCheckFailed"}
            return False
        return True

    def check(self) -> int:
        """Both ways of reading give the total; how many moves there were."""
        pages = self.client.get_paginator("scan").paginate(ConsistentRead=True, **self.table)
        scanned = [item for page in pages for item in page["Items"]]
        for items in (self.accounts(*range(ACCOUNTS)), scanned):
            balances = [int(item["balance"]["N"]) for item in items]
            assert sum(balances) == ACCOUNTS * START and min(balances) >= 0
            moves = sum(int(item["moves"]["N"]) for item in items)
            assert moves % 2 == 0
        return moves // 2


@pytest.mark.parametrize("way", ["move_blindly", "move_as_read"])
def test_the_total_never_changes(server: Server, names: Iterator[str], way: str) -> None:
    bank = Bank(server, next(names))
    move, done, wrong = getattr(bank, way), [0] * WRITERS, list[Exception]()

    def transfer(writer: int) -> None:
        chance = random.Random(writer)
        try:
            for _ in range(TRANSFERS):
                done[writer] += move(*chance.sample(range(ACCOUNTS), 2), chance.randint(1, 30))
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=transfer, args=(each,)) for each in range(WRITERS)]
    for thread in threads:
        thread.start()
    reads = 0
    while any(thread.is_alive() for thread in threads):
        bank.check()
        reads += 1
    for thread in threads:
        thread.join()
    assert not wrong
    assert reads and bank.check() == sum(done) > 0
