"""A deployment tells of itself in a line, and aloud only of what is slow or goes wrong."""

import asyncio

import pytest

from cloudlet.template import progress
from cloudlet.template.plan import Step


def test_steps_are_silent_unless_they_take_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_SLOW_S", 0.01)
    monkeypatch.setattr("sys.stdout.isatty", lambda: False)
    said: list[str] = []

    async def deploy() -> None:
        told = progress.Progress(said.append)
        told("create Quick (AWS::SQS::Queue)")
        told("create Slow (AWS::Lambda::Function)")
        while not said:
            await asyncio.sleep(0.001)
        told("failed: Slow: no; rolling back")
        told("delete Quick (AWS::SQS::Queue)")
        told.close()
        await asyncio.sleep(0.02)

    asyncio.run(deploy())
    assert said == ["create Slow (AWS::Lambda::Function) …", "failed: Slow: no; rolling back"]


def test_a_terminal_has_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    told = progress.Progress(print)
    told("create One (T)")
    told("update Two (T)")
    told("warning: late")
    told.close()
    clear = "\r\x1b[K"
    lines = f"{clear}1: create One (T){clear}2: update Two (T){clear}warning: late\n{clear}"
    assert capsys.readouterr().out == lines


@pytest.mark.parametrize(
    ("actions", "text"),
    [
        ("", ""),
        ("create", "1 resource created"),
        ("update create create", "2 resources created, 1 updated"),
        ("delete replace", "1 resource replaced, 1 deleted"),
    ],
)
def test_summaries(actions: str, text: str) -> None:
    steps = [Step(action, "Name", "Type") for action in actions.split()]
    assert progress.summary(steps) == text
