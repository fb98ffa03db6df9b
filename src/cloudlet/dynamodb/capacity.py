"""Capacity units, as AWS computes them: 4 KB per read unit, 1 KB per write unit.

See https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html
"""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
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


def write_units(size_bytes: int, is_transaction: bool = False) -> float:
    return max(1.0, float(-(-size_bytes // _WRITE_BYTES))) * (2 if is_transaction else 1)


@dataclass(slots=True)
class PageRead:
    """What a query or scan has read. It is rounded up as a whole, or, where partitions count, for
    each of those; even where nothing is found that costs."""

    total_bytes: int = 0
    partitions: range | None = None
    by_partition: Counter[int] = field(default_factory=Counter)
    fetched: list[int] = field(default_factory=list)  # sizes of items that an index lacked

    def units(self, is_consistent: bool) -> float:
        if self.partitions is None:
            return read_units(self.total_bytes, is_consistent)
        return sum(read_units(self.by_partition[each], is_consistent) for each in self.partitions)


class Consumed:
    """Adds up the units of one request for one table. `kind`, of transactions alone:
    "ReadCapacityUnits" or "WriteCapacityUnits"; dynamodb-055: only those tell it."""

    def __init__(self, table: Table, kind: str | None = None) -> None:
        self.table = table
        self.kind = kind
        self.units = 0.0
        self.failed_units = 0.0
        self.global_units: dict[str, float] = {}
        self.local_units: dict[str, float] = {}

    def add(self, units: float) -> None:
        self.units += units

    def fail(self, size_bytes: int) -> None:
        """dynamodb-081: a batch's statement that fails is paid for, beside others that do not."""
        self.failed_units += write_units(size_bytes)

    def add_index(self, index_name: str, is_global: bool, units: float) -> None:
        by_name = self.global_units if is_global else self.local_units
        by_name[index_name] = by_name.get(index_name, 0.0) + units

    def add_write(self, change: Change, is_transaction: bool = False) -> None:
        self.add(write_units(max(change.old_bytes, change.new_bytes), is_transaction))
        for name, (is_global, sizes) in change.index_bytes.items():  # dynamodb-078: never doubled
            self.add_index(name, is_global, sum(map(write_units, sizes)))

    def add_page(self, index: Index | None, read: PageRead, is_consistent: bool) -> None:
        self.add(sum(read_units(size_bytes, is_consistent) for size_bytes in read.fetched))
        units = read.units(is_consistent)
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
        total = self.units + self.failed_units + sum(indexes)
        document = {"TableName": self.table.name, **self._told(total)}
        if mode == "INDEXES":
            document["Table"] = self._told(self.units)
            for member, by_name in (
                ("GlobalSecondaryIndexes", self.global_units),
                ("LocalSecondaryIndexes", self.local_units),
            ):
                if by_name:
                    document[member] = {name: self._told(units) for name, units in by_name.items()}
        return document

    def _told(self, units: float) -> dict[str, Any]:
        told = {"CapacityUnits": units}
        return told if self.kind is None else {**told, self.kind: units}


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
    if consumed and mode in ("TOTAL", "INDEXES"):
        output["ConsumedCapacity"] = [each.shown(mode) for each in consumed]
