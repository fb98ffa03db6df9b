"""The shape of one resource type's entry, and what its functions may use.

An entry says which properties there are, which of them can only change by replacement, which one
is the resource's name, and how it is created, updated and deleted. Updates state the whole wanted
state again, so that repeating one after a crash does no harm. Deletions need not mind a resource
that is gone already: the executor does.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from cloudlet.call import Caller, Cloud, Output
from cloudlet.template.intrinsics import Known
from cloudlet.template.problems import TemplateError
from cloudlet.template.stacks import Stack

Properties = dict[str, Any]
Presign = Callable[[str, str, str], str]  # (method, bucket, key) → URL
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


@dataclass(slots=True)
class Context:
    """One step's surroundings."""

    cloud: Cloud
    stack: Stack
    logical_id: str
    resource_type: str
    token: str
    presign: Presign
    say: Callable[[str], None]
    begin: Callable[[str], Awaitable[None]]  # records the physical id once something exists
    caller: Caller | None = None  # in whose name; None: cloudlet's own
    is_halted: Callable[[], bool] = bool  # True: another operation waits; don't wait longer
    planned_id: str = ""  # the name a creation has chosen

    async def call(self, service: str, operation: str, **params: Any) -> Output:
        return await self.cloud.invoke(service, operation, params, self.caller)

    async def own_call(self, service: str, operation: str, **params: Any) -> Output:
        """In cloudlet's own name, whoever deploys."""
        return await self.cloud.invoke(service, operation, params)

    def name(self, wanted: Any, limit: int, lower: bool = False) -> str:
        """The given name, or a generated one: stack, logical id and a random part."""
        if wanted:
            self.planned_id = str(wanted)
            return self.planned_id
        source = f"{self.stack.id}/{self.logical_id}/{self.token}"
        number = int.from_bytes(hashlib.sha256(source.encode()).digest()[:8])
        suffix = "".join(_ALPHABET[number >> shift & 31] for shift in range(0, 60, 5))
        room = limit - len(suffix) - 2
        stack = self.stack.name[: max(1, room // 2)]
        logical_id = self.logical_id[: room - len(stack)]
        name = f"{stack}-{logical_id}-{suffix}"
        self.planned_id = name.lower() if lower else name
        return self.planned_id

    async def until(self, ready: Callable[[], Awaitable[bool]], what: str) -> None:
        """Waits for a state that AWS reaches asynchronously."""
        for attempt in range(600):
            if await ready():
                return
            await asyncio.sleep(min(0.01 * 2**attempt, 0.2))
        raise TemplateError(f"{what} did not become ready in time.")


Create = Callable[[Context, Properties], Awaitable[Known]]
Update = Callable[[Context, Known, Properties, Properties], Awaitable[Known]]
Delete = Callable[[Context, str, Properties], Awaitable[None]]
HoldsData = Callable[[Context, str], Awaitable[bool]]
Check = Callable[[Properties], object]  # raises TemplateError for what will not work


@dataclass(frozen=True, slots=True)
class Kind:
    """One resource type."""

    type: str
    properties: frozenset[str]
    create: Create
    delete: Delete
    update: Update | None = None  # None: every change is a replacement
    fixed: frozenset[str] = frozenset()  # a change of these is a replacement
    name: str = ""  # the property that names it; "" if names never collide
    required: frozenset[str] = frozenset()
    holds_data: HoldsData | None = None
    check: Check | None = None
    is_open: bool = False  # any property is allowed (custom resources)
    settles: bool = False  # its attributes may change with an update


async def keep(ctx: Context, known: Known, new: Properties, old: Properties) -> Known:
    """An update that has nothing to do."""
    return known
