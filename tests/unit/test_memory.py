"""What is remembered of watched tables is never older than what the asker may see."""

from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from cloudlet.store.database import Database, Transaction, View
from cloudlet.store.memory import watched

TABLES = (
    "CREATE TABLE IF NOT EXISTS colour (name TEXT);\n"
    "CREATE TABLE IF NOT EXISTS other (name TEXT);\n"
)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path)
    database.prepare(TABLES + watched("colour"))
    yield database
    database.close()


class Asker:
    """Counts how often the table is read."""

    def __init__(self) -> None:
        self.reads = 0

    def __call__(self, view: View) -> str | None:
        return view.remembered("colour", lambda: self._read(view))

    def _read(self, view: View) -> str | None:
        self.reads += 1
        text: str | None = view.value("SELECT max(name) FROM colour")
        return text


@pytest.fixture
def colour() -> Asker:
    return Asker()


def put(name: str, table: str = "colour") -> "Change":
    return Change(f"INSERT INTO {table} VALUES (?)", name)


class Change:
    def __init__(self, sql: str, *values: str) -> None:
        self.sql, self.values = sql, values

    def __call__(self, tx: Transaction) -> None:
        tx.run(self.sql, self.values)


def test_others_commits_to_other_tables_leave_it(database: Database, colour: Asker) -> None:
    database.write_now(put("blue"))
    assert colour(database.view()) == "blue"
    database.write_now(put("oak", "other"))
    assert colour(database.view()) == "blue"
    assert colour.reads == 1


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (put("red"), "red"),
        (Change("UPDATE colour SET name = 'green'"), "green"),
        (Change("DELETE FROM colour"), None),
        (Change("INSERT OR REPLACE INTO colour (rowid, name) VALUES (1, 'grey')"), "grey"),
    ],
)
def test_each_commit_to_the_table_is_seen(
    database: Database, colour: Asker, change: Change, expected: str | None
) -> None:
    database.write_now(put("blue"))
    assert colour(database.view()) == "blue"
    assert database.write_now(colour) == "blue"
    database.write_now(change)
    assert colour(database.view()) == expected
    assert database.write_now(colour) == expected
    with database.snapshot() as view:
        assert colour(view) == expected


def test_a_transaction_sees_its_own_change(database: Database, colour: Asker) -> None:
    def change(tx: Transaction) -> list[str | None]:
        seen = [colour(tx)]
        tx.run("INSERT INTO colour VALUES ('blue')")
        return [*seen, colour(tx)]

    assert database.write_now(change) == [None, "blue"]


def test_what_was_taken_back_is_forgotten(database: Database, colour: Asker) -> None:
    def fail(tx: Transaction) -> NoReturn:
        tx.run("INSERT INTO colour VALUES ('red')")
        assert colour(tx) == "red"
        raise LookupError

    database.write_now(put("blue"))
    with pytest.raises(LookupError):
        database.write_now(fail)
    assert database.write_now(colour) == "blue"
    assert colour(database.view()) == "blue"


def test_a_change_under_way_is_nobody_elses(database: Database, colour: Asker) -> None:
    """Its writer has remembered it; the readers' connections have a memory of their own."""
    reader = database.view()

    def change(tx: Transaction) -> str | None:
        tx.run("INSERT INTO colour VALUES ('red')")
        assert colour(tx) == "red"
        return reader.value("SELECT max(name) FROM colour")

    assert colour(reader) is None
    assert database.write_now(change) is None
    assert colour(reader) == "red"


def test_a_snapshot_stays_on_its_state(database: Database, colour: Asker) -> None:
    """Nor does what it reads late outlive it: also not what a plain view of its thread reads."""
    database.write_now(put("blue"))
    with database.snapshot() as view:
        assert view.value("SELECT 1 FROM colour")  # now it has begun
        database.write_now(put("red"))
        assert colour(database.view()) == "blue"
        assert colour(view) == "blue"
    assert colour(database.view()) == "red"


def test_errors_are_not_kept(database: Database, colour: Asker) -> None:
    def read() -> str:
        raise LookupError

    view = database.view()
    with pytest.raises(LookupError):
        view.remembered("colour", read)
    assert view.remembered("colour", lambda: "found") == "found"


def test_nothing_is_remembered_where_nobody_watches(tmp_path: Path, colour: Asker) -> None:
    database = Database(tmp_path)
    database.prepare(TABLES)
    database.write_now(put("blue"))
    assert colour(database.view()) == "blue"
    database.write_now(put("red"))
    assert colour(database.view()) == "red"
    database.close()
