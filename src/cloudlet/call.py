"""An operation call on its way down: who calls what, with which parameters, on which cloud."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from cloudlet.config import Config
from cloudlet.exchange import Body, Request
from cloudlet.store.blobs import Blobs
from cloudlet.store.database import Database, Transaction

Params = dict[str, Any]
Output = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated identity.

    `kind`: "root", "user", "role" (temporary credentials), "service" (cloudlet itself, on behalf
    of `arn` such as "s3.amazonaws.com") or "anonymous". `policies` are the identity's policy
    documents, parsed; root and service need none.
    """

    kind: str
    arn: str
    account: str
    user_id: str = ""
    access_key: str = ""
    policies: tuple[Mapping[str, Any], ...] = ()
    context: Mapping[str, Any] = field(default_factory=dict)  # condition keys of the session
    # ("session policy" or "permissions boundary", documents): each of these must allow, too
    limits: tuple[tuple[str, tuple[Mapping[str, Any], ...]], ...] = ()


ANONYMOUS = Caller("anonymous", "*", "")


class Requirement(NamedTuple):
    """One permission a call needs: `action` on `resource`, with condition keys of the service."""

    action: str
    resource: str
    context: Mapping[str, Any] = MappingProxyType({})


class Invoke(Protocol):
    """Calls any operation of any service inside the process, as AWS's API would.

    Raises AwsError. Siblings never import each other: what one service must ask of another while a
    call waits (a gateway invoking a function, a deployment creating a bucket) goes through this.
    """

    def __call__(
        self, service: str, operation: str, params: Params, caller: Caller | None = None
    ) -> Awaitable[Output]: ...


class Journal(Protocol):
    """Takes log lines for CloudWatch Logs; makes group and stream where missing.

    `line` never waits, and a crash may lose what came last; `write` is part of a transaction.
    """

    def line(self, group: str, stream: str, message: str) -> None: ...

    def write(self, tx: Transaction, group: str, stream: str, message: str) -> None: ...


class Meter(Protocol):
    """Takes measurements for CloudWatch metrics; never waits.

    `dimensions` are (name, value) pairs; `unit` is one of CloudWatch's ("Count", "Milliseconds").
    """

    def add(
        self,
        namespace: str,
        name: str,
        dimensions: tuple[tuple[str, str], ...],
        value: float = 1.0,
        unit: str = "Count",
    ) -> None: ...


class _Unheard:
    """Stands in for journal and meter where nobody listens."""

    def line(self, *_: object) -> None: ...

    def write(self, *_: object) -> None: ...

    def add(self, *_: object) -> None: ...


CallerOf = Callable[[str], Caller | None]
Authenticate = Callable[[Request, str], Awaitable[Caller]]


def _nobody(access_key: str) -> Caller | None:
    return None


async def _anyone(request: Request, signing_name: str) -> Caller:
    return ANONYMOUS


@dataclass(slots=True)
class Cloud:
    """What every operation may use. `app.py` makes the one instance of a process."""

    config: Config
    database: Database
    blobs: Blobs
    invoke: Invoke
    caller_of: CallerOf = _nobody  # who an access key is: to act in a role's name
    # whose signature an application's request bears, ANONYMOUS without one; raises AwsError
    authenticate: Authenticate = _anyone
    journal: Journal = field(default_factory=_Unheard)
    meter: Meter = field(default_factory=_Unheard)


@dataclass(slots=True)
class Call:
    """One operation call. `params` has AWS's member names; a streaming member holds a `Body`.

    `state` is the called service's own live state (worker pool, open connections), made by
    `app.py`; stateless services have None. `takes_json`: the output is only ever spelled as JSON,
    so that `orjson.Fragment` may stand for what is stored in that spelling; `takes_xml`: the same
    of XML.
    """

    cloud: Cloud
    service: str
    operation: str
    params: Params
    caller: Caller
    request: Request
    state: Any = None
    takes_json: bool = False
    takes_xml: bool = False

    @property
    def config(self) -> Config:
        return self.cloud.config

    @property
    def now_ms(self) -> int:
        return self.cloud.config.now_ms()

    @property
    def body(self) -> Body:
        return self.request.body


@dataclass(slots=True)
class Result:
    """An operation's answer where the output members alone don't say it all.

    Most operations return the plain output dict. `headers` are added to the response; `status`
    overrides the model's.
    """

    output: Output
    status: int | None = None
    headers: list[tuple[str, str]] = field(default_factory=list)
