"""PartiQL's WHERE against the expression that says the same, and against filtering by hand."""

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from cloudlet.dynamodb import items, partiql, search, tables
from cloudlet.dynamodb.schema import SCHEMA
from cloudlet.errors import AwsError
from tests.harness import Bench
from tests.unit.dynamodb.conftest import TABLE

# (PartiQL, tree) of the same meaning
numbers = st.integers(-2, 4)
names = st.sampled_from(["n", "sk", "m.x", "list[0]"])
comparisons = st.builds(
    lambda name, sign, number: (f"{name} {sign} {number}", (name, sign, number)),
    names,
    st.sampled_from(["=", "<>", "<", "<=", ">", ">="]),
    numbers,
)
conditions = st.recursive(
    st.one_of(
        comparisons,
        names.map(lambda name: (f"{name} IS MISSING", ("missing", name))),
        st.tuples(names, numbers, numbers).map(
            lambda each: (
                f"{each[0]} BETWEEN {min(each[1:])} AND {max(each[1:])}",
                ("between", each[0], min(each[1:]), max(each[1:])),
            )
        ),
    ),
    lambda inner: st.one_of(
        inner.map(lambda each: (f"NOT ({each[0]})", ("not", each[1]))),
        st.tuples(inner, st.sampled_from(["AND", "OR"]), inner).map(
            lambda each: (
                f"({each[0][0]}) {each[1]} ({each[2][0]})",
                (each[1], each[0][1], each[2][1]),
            )
        ),
    ),
    max_leaves=5,
)
given_items = st.lists(
    st.fixed_dictionaries(
        {"pk": st.sampled_from(["a", "b"]), "sk": numbers},
        optional={"n": numbers, "x": numbers, "first": numbers},
    ),
    max_size=6,
)


def expression(tree: Any, values: dict[str, Any]) -> str:
    """The same as a FilterExpression."""

    def value(number: int) -> str:
        name = f":v{len(values)}"
        values[name] = {"N": str(number)}
        return name

    if tree[0] == "not":
        return f"NOT {expression(tree[1], values)}"
    if tree[0] in ("AND", "OR"):
        sides = [expression(each, values) for each in tree[1:]]
        return f"({sides[0]} {tree[0]} {sides[1]})"
    name = str(tree[1] if tree[0] in ("missing", "between") else tree[0])
    name = name.replace("list", "#l")
    if tree[0] == "missing":
        return f"attribute_not_exists({name})"
    if tree[0] == "between":
        return f"{name} BETWEEN {value(tree[2])} AND {value(tree[3])}"
    return f"{name} {tree[1]} {value(tree[2])}"


def stored(item: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {"pk": {"S": item["pk"]}, "sk": {"N": str(item["sk"])}}
    if "n" in item:
        made["n"] = {"N": str(item["n"])}
    if "x" in item:
        made["m"] = {"M": {"x": {"N": str(item["x"])}}}
    if "first" in item:
        made["list"] = {"L": [{"N": str(item["first"])}]}
    return made


@settings(deadline=None, max_examples=40)
@given(given_items, conditions, st.booleans())
def test_where_means_what_the_filter_means(
    given: list[dict[str, Any]], condition: tuple[str, Any], is_keyed: bool
) -> None:
    text, tree = condition
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), SCHEMA)
        try:
            bench.call(tables.create_table, **TABLE)
            for item in given:
                bench.call(items.put_item, TableName="tab", Item=stored(item))
            values: dict[str, Any] = {}
            shown = expression(tree, values)
            more = {"ExpressionAttributeValues": values} if values else {}
            more |= {"ExpressionAttributeNames": {"#l": "list"}} if "#l" in shown else {}
            found = bench.call(search.scan, TableName="tab", FilterExpression=shown, **more)[
                "Items"
            ]
            where = text
            if is_keyed:
                found = [item for item in found if item["pk"]["S"] == "a"]
                where = f"pk = 'a' AND ({text})"
            statement = f"SELECT * FROM tab WHERE {where}"
            try:
                said = bench.call(partiql.execute_statement, Statement=statement)["Items"]
            except AwsError as error:
                assert "Overlapping conditions" in error.message  # dynamodb-044
                return
            assert sorted(said, key=str) == sorted(found, key=str)
        finally:
            bench.close()
