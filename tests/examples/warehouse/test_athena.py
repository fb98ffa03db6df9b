"""athena.sql fits the files: columns, types, places, partitions."""

import re

import pyarrow as pa
import pytest

from tests.examples.conftest import EXAMPLES, Load
from tests.examples.warehouse.memory import Shop, Warehouse, order

SQL = (EXAMPLES / "warehouse" / "athena.sql").read_text()
TABLE = re.compile(
    r"CREATE EXTERNAL TABLE IF NOT EXISTS warehouse\.(\w+) \(\n(.*?)\n\)\n"
    r"(PARTITIONED BY \(`date` string\)\n)?STORED AS PARQUET\nLOCATION '(\S+)'(.*?);",
    re.S,
)
TABLES = {match[1]: match for match in TABLE.finditer(SQL)}
TYPES = {
    "int32": "int", "int64": "bigint", "string": "string", "bool": "boolean",
    "date32[day]": "date", "timestamp[ms]": "timestamp",
}  # fmt: skip


def athena_type(kind: pa.DataType) -> str:
    if pa.types.is_struct(kind):
        return f"struct<{','.join(f'{f.name}:{athena_type(f.type)}' for f in kind)}>"
    if pa.types.is_list(kind):
        return f"array<{athena_type(kind.value_type)}>"
    return TYPES[str(kind)]


def columns(text: str) -> list[tuple[str, ...]]:
    return [tuple(line.strip().rstrip(",").split(" ", 1)) for line in text.splitlines()]


def test_every_table_is_as_its_schema(load: Load) -> None:
    lake = load("warehouse/lake", "lake")
    assert SQL.count("CREATE EXTERNAL TABLE") == len(TABLES)
    assert list(TABLES) == list(lake.SCHEMAS)
    for name, match in TABLES.items():
        assert columns(match[2]) == [(f.name, athena_type(f.type)) for f in lake.SCHEMAS[name]]
        assert match[4] == f"s3://LAKE_BUCKET/{lake.place(name)}"
        assert bool(match[3]) == (name in lake.PARTITIONED)
        projected = f"'storage.location.template' = '{match[4]}date=${{date}}/'" in match[5]
        assert projected == (name in lake.PARTITIONED)


@pytest.mark.parametrize("name", ["raw", "fact_sales", "fact_orders", "dim_customer", "dim_date"])
def test_the_files_are_as_their_schema(warehouse: Warehouse, shop: Shop, name: str) -> None:
    warehouse.capture(shop.put(order()))
    warehouse.transform()
    described = [(f.name, athena_type(f.type)) for f in warehouse.schema(name)]
    assert columns(TABLES[name][2]) == described
