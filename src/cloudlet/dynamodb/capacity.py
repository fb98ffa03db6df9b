"""Capacity units, as AWS computes them: 4 KB per read unit, 1 KB per write unit.

See https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html
"""

from collections.abc import Collection
from typing import Any

from cloudlet.call import Call, Meter, Output
from cloudlet.dynamodb.definitions import Index, Table
from cloudlet.dynamodb.storage import Change

_READ_BYTES = 4096
_WRITE_BYTES = 1024


def read_units(size_bytes: int, is_consistent: bool, is_transaction: bool = False) -> float:
    whole = max(1, -(-size_bytes // _READ_BYTES))
    if is_transaction:
        return 2.0 * whole
    return float(whole) if is_consistent else whole / 2


def page_units(size_bytes: int, is_consistent: bool) -> float:
    """Of a query or scan, which rounds up the sum; an empty page costs half a unit at least."""
    return read_units(size_bytes, is_consistent)


def write_units(size_bytes: int, is_transaction: bool = False) -> float:
    return max(1.0, float(-(-size_bytes // _WRITE_BYTES))) * (2 if is_transaction else 1)


class Consumed:
    """Adds up the units of one request for one table."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.units = 0.0
        self.global_units: dict[str, float] = {}
        self.local_units: dict[str, float] = {}

    def add(self, units: float) -> None:
        self.units += units

    def add_index(self, index_name: str, is_global: bool, units: float) -> None:
        by_name = self.global_units if is_global else self.local_units
        by_name[index_name] = by_name.get(index_name, 0.0) + units

    def add_write(self, change: Change, is_transaction: bool = False) -> None:
        self.add(write_units(max(change.old_bytes, change.new_bytes), is_transaction))
        for name, (is_global, size_bytes) in change.index_bytes.items():
            self.add_index(name, is_global, write_units(size_bytes, is_transaction))

    def add_page(self, index: Index | None, size_bytes: int, is_consistent: bool) -> None:
        units = page_units(size_bytes, is_consistent)
        if index is None:
            self.add(units)
        else:
            self.add_index(index.name, index.is_global, units)

    def measure(self, meter: Meter, kind: str) -> None:
        """A local index spends its table's units."""
        name, table = f"Consumed{kind}CapacityUnits", ("TableName", self.table.name)
        own = self.units + sum(self.local_units.values())
        if own:
            meter.add("AWS/DynamoDB", name, (table,), own)
        for index, units in self.global_units.items():
            meter.add("AWS/DynamoDB", name, (("GlobalSecondaryIndexName", index), table), units)

    def shown(self, mode: str) -> dict[str, Any]:
        indexes = (*self.global_units.values(), *self.local_units.values())
        document: dict[str, Any] = {
            "TableName": self.table.name,
            "CapacityUnits": self.units + sum(indexes),
        }
        if mode == "INDEXES":
            document["Table"] = {"CapacityUnits": self.units}
            for member, by_name in (
                ("GlobalSecondaryIndexes", self.global_units),
                ("LocalSecondaryIndexes", self.local_units),
            ):
                if by_name:
                    document[member] = {
                        name: {"CapacityUnits": units} for name, units in by_name.items()
                    }
        return document


def settle(call: Call, kind: str, output: Output, consumed: Consumed) -> None:
    """Measures what was consumed ("Read", "Write") and shows it where the call wants that."""
    consumed.measure(call.cloud.meter, kind)
    mode = call.params.get("ReturnConsumedCapacity")
    if mode in ("TOTAL", "INDEXES"):
        output["ConsumedCapacity"] = consumed.shown(mode)


def settle_all(call: Call, kind: str, output: Output, consumed: Collection[Consumed]) -> None:
    """The same for calls on several tables."""
    for each in consumed:
        each.measure(call.cloud.meter, kind)
    mode = call.params.get("ReturnConsumedCapacity")
    if mode in ("TOTAL", "INDEXES"):
        output["ConsumedCapacity"] = [each.shown(mode) for each in consumed]
