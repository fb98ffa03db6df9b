"""Results as rows, and the table in docs/benchmarks.md."""

import platform
import subprocess
import sys
from dataclasses import dataclass, field
from math import isnan
from pathlib import Path

DOCUMENT = Path(__file__).parent.parent / "docs" / "benchmarks.md"
_INTRODUCTION = """# Benchmarks

Written by `script/bench`; every ratio's two sides were measured in the same run, windows taken in
turn. A time alone means nothing on a shared machine: read the ratios. cloudlet checks every
signature and policy and answers writes after fsync; the peers, as they start by default, do
neither.

"""


@dataclass(frozen=True)
class Row:
    """`values`: contender → figure; `unit` tells whether more or less is better."""

    what: str
    unit: str
    values: dict[str, float]
    more_is_better: bool = True

    def ratio(self, peer: str) -> float | None:
        """How many times better cloudlet is than the peer."""
        ours, theirs = self.values.get("cloudlet"), self.values.get(peer)
        if not ours or not theirs or isnan(ours) or isnan(theirs):
            return None
        return ours / theirs if self.more_is_better else theirs / ours


@dataclass
class Table:
    title: str
    peers: list[str]
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, row: Row) -> None:
        """Shows it at once: a long run that breaks off has told something."""
        self.rows.append(row)
        print(self._row(row), file=sys.stderr, flush=True)

    def _row(self, row: Row) -> str:
        figures = [_figure(row.values.get(name)) for name in ("cloudlet", *self.peers)]
        ratios = [_ratio(row.ratio(peer)) for peer in self.peers]
        return _line([row.what, row.unit, *figures, *ratios])

    def text(self) -> str:
        head = ["what", "unit", "cloudlet", *self.peers, *[f"cloudlet ÷ {p}" for p in self.peers]]
        lines = [f"## {self.title}", "", _line(head), _line(["---"] * len(head))]
        lines += map(self._row, self.rows)
        return "\n".join([*lines, "", *[f"{note}\n" for note in self.notes]])


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _figure(value: float | None) -> str:
    if value is None or isnan(value):
        return "–"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _ratio(value: float | None) -> str:
    return "–" if value is None else f"**{value:.2f}×**"


def write(tables: list[Table], command: str) -> None:
    DOCUMENT.write_text(_INTRODUCTION + _machine(command) + "\n".join(t.text() for t in tables))


def _machine(command: str) -> str:
    cores = subprocess.run(["nproc"], capture_output=True, text=True, check=True).stdout.strip()
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    return (
        f"Command: `{command}`. Machine: {cores} cores of {model}, Python"
        f' {platform.python_version()}. "Better" is above 1 in every ratio; "–": the peer'
        " cannot do it.\n\n"
    )
