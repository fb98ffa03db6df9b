"""The style guide as a test: layers, sizes, names. The numbers are in CONTRIBUTING.md."""

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CLOUDLET = ROOT / "src" / "cloudlet"
FILE_LINES_MAX = 600
FUNCTION_LINES_MAX = 70
FUNCTION_MEDIAN_MAX = 10
CLASS_LINES_MAX = 250
ARGUMENTS_MAX = 5
CLOUDLET_LINES_MAX = 81_800

# Higher may import lower. Packages on one shelf are siblings and never import each other.
SHELVES: list[set[str]] = [
    {"__main__", "cli", "inspection", "remote"},
    {"app", "reader"},
    {"front"},
    {"auth"},
    {
        "s3",
        "dynamodb",
        "functions",
        "gateway",
        "messaging",
        "iam",
        "template",
        "monitoring",
        "registry",
        "sns",
        "kinesis",
        "kms",
    },
    {"wire"},
    {"policy"},
    {"call"},
    {"events"},
    {"store"},
    {"exchange"},
    {"config", "errors", "npm"},
]
# Folders inside a package, too; what stands on none of these shelves is below them all.
INSIDE: dict[str, list[set[str]]] = {
    "gateway": [{"service"}, {"cloudfront"}, {"websockets"}, {"http_apis"}, {"rest"}],
    "messaging": [{"service"}, {"targets"}, {"calls", "permissions"}, {"sqs", "eventbridge"}],
}
# Services stand on `wire.service`, the contract they fill; `wire` never imports a service.
BANNED_FILES = {"utils", "helpers", "common", "base", "manager", "misc", "models_", "provider"}


@cache
def _tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def _python(folder: str) -> list[Path]:
    return [p for p in _tracked() if p.suffix == ".py" and p.is_relative_to(ROOT / folder)]


def _shelf(part: str) -> int:
    return next((n for n, names in enumerate(SHELVES) if part in names), -1)


def _part(path: Path) -> str:
    parts = path.relative_to(CLOUDLET).parts
    return parts[0].removesuffix(".py")


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            module = node.module.split(".")
            if module[0] == "cloudlet":
                yield from [module[1]] if len(module) > 1 else [a.name for a in node.names]
        elif isinstance(node, ast.Import):
            for alias in node.names:
                module = alias.name.split(".")
                if module[0] == "cloudlet" and len(module) > 1:
                    yield module[1]


def test_imports_go_down_only() -> None:
    wrong = []
    for path in _python("src/cloudlet"):
        here = _part(path)
        if here in ("__init__", "app", "reader", "__main__", "cli", "inspection", "remote"):
            continue
        for there in _imports(path):
            if there != here and _shelf(there) <= _shelf(here):
                wrong.append(f"{path.relative_to(ROOT)} imports {there}")
    assert not wrong, "\n".join(wrong)


def _imports_inside(path: Path, package: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            module = node.module.split(".")
            if module[:2] == ["cloudlet", package]:
                yield from [module[2]] if len(module) > 2 else [a.name for a in node.names]


@pytest.mark.parametrize("package", INSIDE)
def test_imports_go_down_inside_of_packages(package: str) -> None:
    shelves = INSIDE[package]
    shelf = {name: number for number, names in enumerate(shelves) for name in names}
    wrong = []
    for path in _python(f"src/cloudlet/{package}"):
        here = path.relative_to(CLOUDLET / package).parts[0].removesuffix(".py")
        for there in _imports_inside(path, package):
            is_up = shelf.get(there, len(shelves)) <= shelf.get(here, len(shelves))
            if there != here and there in shelf and is_up:
                wrong.append(f"{path.relative_to(ROOT)} imports {there}")
    assert not wrong, "\n".join(wrong)


def test_every_package_stands_on_a_shelf() -> None:
    parts = {_part(path) for path in _python("src/cloudlet")} - {"__init__"}
    assert parts == set().union(*SHELVES)


def test_the_application_and_the_cloud_do_not_know_each_other() -> None:
    """Only the command that starts λShare on cloudlet may name both."""
    for path in _python("src/cloudlet"):
        assert "lambdashare" not in path.read_text().lower(), path
    allowed = {"cli.py"}
    for path in _python("src/lambdashare"):
        if path.name not in allowed:
            assert not re.search(r"^\s*(from|import) cloudlet", path.read_text(), re.M), path


def test_files_are_short() -> None:
    long = [
        f"{path.relative_to(ROOT)}: {lines}"
        for path in _tracked()
        if path.suffix in (".py", ".ts", ".tsx", ".css", ".sh")
        and (lines := len(path.read_text().splitlines())) > FILE_LINES_MAX
    ]
    assert not long, "\n".join(long)


def test_the_core_keeps_its_budget() -> None:
    assert (
        sum(len(p.read_text().splitlines()) for p in _python("src/cloudlet")) < CLOUDLET_LINES_MAX
    )


def _functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def _length(node: ast.stmt) -> int:
    assert node.end_lineno is not None
    return node.end_lineno - node.lineno + 1


def test_functions_and_classes_are_short() -> None:
    wrong, lengths = [], []
    for path in _python("src"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lengths.append(_length(node))
                if _length(node) > FUNCTION_LINES_MAX:
                    wrong.append(f"{path.relative_to(ROOT)}:{node.name} {_length(node)} lines")
            elif isinstance(node, ast.ClassDef) and _length(node) > CLASS_LINES_MAX:
                wrong.append(f"{path.relative_to(ROOT)}:{node.name} {_length(node)} lines")
    assert not wrong, "\n".join(wrong)
    assert sorted(lengths)[len(lengths) // 2] <= FUNCTION_MEDIAN_MAX


def test_functions_take_few_arguments() -> None:
    wrong = []
    for path in _python("src/cloudlet"):
        for node in _functions(path):
            names = [a.arg for a in (*node.args.posonlyargs, *node.args.args)]
            if len([name for name in names if name not in ("self", "cls")]) > ARGUMENTS_MAX:
                wrong.append(f"{path.relative_to(ROOT)}:{node.name}")
    assert not wrong, "\n".join(wrong)


def test_names_say_something() -> None:
    for path in _python("src"):
        assert path.stem not in BANNED_FILES, path
    for path in _python("src/cloudlet"):
        assert ast.get_docstring(ast.parse(path.read_text())), f"{path} has no docstring"


def test_no_module_keeps_state() -> None:
    wrong = []
    for path in _python("src/cloudlet"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Global):
                wrong.append(f"{path.relative_to(ROOT)}: global {', '.join(node.names)}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("word", ["TO" + "DO", "FIX" + "ME", "X" + "XX"])
def test_nothing_is_left_for_later(word: str) -> None:
    for path in _tracked():
        if path.suffix in (".py", ".ts", ".tsx", ".md", ".yaml"):
            assert not re.search(rf"\b{word}\b", path.read_text()), f"{path} says {word}"


def test_no_registry_and_no_machine_is_named() -> None:
    hosts = re.compile(r"pypi\.org|pythonhosted\.org|registry\.npmjs|deb\.debian\.org")
    paths = re.compile(r"(^|[^A-Za-z0-9_.])/(work|farm)/")
    for path in _tracked():
        if path.suffix in (".png", ".ico", ".woff2") or path == Path(__file__):
            continue
        text = path.read_text()
        assert not hosts.search(text), f"{path} names a registry"
        assert not paths.search(text), f"{path} names a machine's path"
