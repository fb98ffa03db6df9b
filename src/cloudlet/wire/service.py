"""What a service tells the layers above: its operations, what they need, who else may say no.

An operation is a plain function in one of the service's modules, named as AWS names it, in
snake_case. Its signature says where it runs:

* `def get_item(call: Call, view: View)` – on the event loop, on a read snapshot: quick reads;
* `def put_item(call: Call, tx: Transaction)` – in the writer thread, as one transaction;
* `async def put_object(call: Call)` – on the event loop; it opens its own transactions.

`@in_thread` moves a long read (a scan) off the loop. An operation returns the output members as a
dict, or a `Result`, or None for an empty output.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, TypeVar

from botocore import xform_name

from cloudlet.call import Call, Output, Requirement
from cloudlet.errors import AwsError
from cloudlet.store.database import Transaction, View

Function = TypeVar("Function", bound=Callable[..., Any])
Requirements = Callable[[Call], list[Requirement]]
ResourcePolicies = Callable[[Call, View], list[Mapping[str, Any]]]
Waives = Callable[[Call, View, Requirement], bool]
Observe = Callable[[Call, Output | AwsError, float], None]  # the outcome, after milliseconds


def in_thread(function: Function) -> Function:
    """Marks a read that may take long: it runs in a reader thread."""
    function.in_thread = True  # type: ignore[attr-defined]
    return function


@dataclass(frozen=True, slots=True)
class Operation:
    name: str  # AWS's: "PutItem"
    run: Callable[..., Any]
    mode: str  # "view", "thread", "write" or "async"


@dataclass(slots=True)
class Service:
    """One AWS API. `name` is botocore's service name ("apigatewayv2"), `signing_name` the
    SigV4 one if it differs ("apigateway", for "dynamodbstreams": "dynamodb"). Operations in
    `own_checks` ask for permission themselves, for each of the things that they name."""

    name: str
    operations: dict[str, Operation]
    requirements: Requirements
    resource_policies: ResourcePolicies = field(default=lambda call, view: [])
    state: Any = None
    observe: Observe | None = None  # measures each call
    waives: Waives = field(default=lambda call, view, requirement: False)  # what was refused
    own_checks: frozenset[str] = frozenset()
    unsigned: frozenset[str] = frozenset()  # operations that anybody may try


def operations(model_operations: list[str], *modules: ModuleType) -> dict[str, Operation]:
    """Reads the dispatch table off the modules: every function that an operation is named after."""
    names = {xform_name(name): name for name in model_operations}
    found: dict[str, Operation] = {}
    for module in modules:
        for python_name, function in vars(module).items():
            name = names.get(python_name)
            if name and inspect.isfunction(function) and function.__module__ == module.__name__:
                found[name] = Operation(name, function, _mode(function))
    return found


def made(noun: str, **functions: Callable[..., Any]) -> dict[str, Operation]:
    """Operations that are made from a table: `made("Route", Create=…, Get=…)`."""
    named = {f"{verb}{noun}": function for verb, function in functions.items()}
    return {name: Operation(name, run, _mode(run)) for name, run in named.items()}


def _mode(function: Callable[..., Any]) -> str:
    if inspect.iscoroutinefunction(function):
        return "async"
    annotations = inspect.get_annotations(function, eval_str=True)
    if Transaction in annotations.values():
        return "write"
    if View in annotations.values():
        return "thread" if getattr(function, "in_thread", False) else "view"
    raise TypeError(
        f"{function.__qualname__}: an operation takes (call, view), (call, tx) or is async"
    )
