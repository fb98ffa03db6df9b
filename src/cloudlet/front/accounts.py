"""Several accounts in one process: whose a request is, and which account has what it names.

Each account is a *universe* of its own: a store, services, workers, timers. They share the
listeners and the clock. A request belongs to the account of its access key, which is written in the
key; what is for an address belongs to the account that has it. A call that names another account's
bucket, queue, topic, function or role is performed over there, where policies of both sides must
allow it; without such a policy nothing of one account is reachable from another.

Universes open at the first use, and at the start those with a store: they may have work to do.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic-cross-account.html
"""

import asyncio
import logging
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Protocol
from urllib.parse import unquote, urlsplit

from cloudlet.auth.sigv4 import Credential
from cloudlet.call import Call, Caller, Cloud, Params
from cloudlet.config import Config
from cloudlet.errors import AwsError
from cloudlet.events import outbox
from cloudlet.events.outbox import Fact
from cloudlet.exchange import Request, Response
from cloudlet.front.dispatcher import Dispatcher
from cloudlet.functions.state import Functions
from cloudlet.gateway.service import GatewayState
from cloudlet.iam import accounts as folders
from cloudlet.iam.credentials import Credentials, open_credential
from cloudlet.iam.identifiers import account_of_key
from cloudlet.kinesis.state import Kinesis
from cloudlet.monitoring.state import Monitoring
from cloudlet.s3.access_logs import AccessLogs
from cloudlet.s3.bucket import of_name
from cloudlet.s3.request_metrics import RequestMetrics
from cloudlet.store.database import Transaction

_log = logging.getLogger(__name__)
_SWEEP_S = 1.0
_CNAME_TAKEN = (
    "One or more of the CNAMEs you provided are already associated with a different resource."
)
_KEY = re.compile(r"(?:Credential=|AWSAccessKeyId=|AWS )([A-Za-z0-9]{12,128})")
_RESERVED = re.compile(
    r"[^.]+|[\d.]+|\[.*\]?|.*\.(?:localdomain|amazonaws\.com|on\.aws)"
    r"|.*\.(?:s3|s3-website|execute-api|lambda-url)(?:[.-].*)?\.localhost",
    re.IGNORECASE,
)
_ACCOUNT = re.compile(r"(?:arn:[\w-]+:[\w-]+:[\w-]*:|https?://[^/]+/|)(\d{12})(?:[:/].*)?")
_TOLD = ("kinesis", "lambda", "sns", "sqs")  # whose handlers ask the policy of the target
# Members that name a resource which another account may have shared
_NAMES: Mapping[str, tuple[str, ...]] = {
    "dynamodb": ("TableName",),
    "dynamodbstreams": ("StreamArn",),
    "events": ("EventBusName",),
    "kinesis": ("StreamARN", "ResourceARN", "ConsumerARN"),
    "kms": ("KeyId",),
    "lambda": ("FunctionName",),
    "sns": ("TopicArn", "TargetArn", "SubscriptionArn"),
    "sqs": ("QueueUrl", "QueueOwnerAWSAccountId"),
    "sts": ("RoleArn",),
}


class Universe(Protocol):
    """All of one account; `app.App`."""

    access_logs: AccessLogs
    request_metrics: RequestMetrics
    config: Config
    cloud: Cloud
    dispatcher: Dispatcher
    credentials: Credentials
    functions: Functions
    gateway: GatewayState
    kinesis: Kinesis
    monitoring: Monitoring

    async def start(self, runtime_api_port: int) -> None: ...

    async def resume(self) -> None: ...

    async def close(self) -> None: ...


class Accounts:
    """`make` builds a universe, which is then in `opened`; the default account's is made first."""

    def __init__(self, config: Config, make: Callable[[Config], Universe]) -> None:
        self._config = config
        self._make = make
        self._runtime_port = 0
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._naming = asyncio.Lock()
        self._sweeper: asyncio.Task[None] | None = None
        self.default_id = config.account
        self.opened: dict[str, Universe] = {}  # and started, but for the default one

    @property
    def default(self) -> Universe:
        return self.opened[self.default_id]

    async def start(self, runtime_port: int) -> None:
        """After the default account: the others that may have work to do."""
        self._runtime_port = runtime_port
        await asyncio.to_thread(folders.sweep, self._config)
        for account in folders.known(self._config):
            if folders.is_used(self._config, account.id):
                try:
                    await self.open(account.id, resumes=False)
                except Exception:  # damaged, perhaps: the others must not miss their work for it
                    _log.exception("account %s cannot be opened", account.id)

    async def resume(self) -> None:
        """All that `start` opened go on with their work: it may be for one another."""
        for account in self._others():
            try:
                await self.opened[account].resume()
            except Exception:
                _log.exception("account %s cannot go on", account)
        self._sweeper = asyncio.get_running_loop().create_task(self._sweep())

    async def stop(self) -> None:
        """All but the default one."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        closing = [self._close(name) for name in self._others()]
        for failure in await asyncio.gather(*closing, return_exceptions=True):
            if isinstance(failure, Exception):
                _log.error("an account did not end in order: %s", failure)

    async def open(self, account: str, *, resumes: bool = True) -> bool:
        """Whether there is such an account; it is open then."""
        if account in self.opened:
            return True
        if not folders.exists(self._config, account):  # nothing is kept of what anybody may claim
            return False
        async with self._locks[account]:
            if account not in self.opened and folders.exists(self._config, account):
                universe = self._make(folders.config_of(self._config, account))
                await universe.start(self._runtime_port)
                self.opened[account] = universe  # its workers may ask as soon as it goes on
                if resumes:
                    await universe.resume()
        return account in self.opened

    def _others(self) -> list[str]:
        return [name for name in self.opened if name != self.default_id]

    async def _close(self, account: str) -> None:
        async with self._locks[account]:
            universe = self.opened.pop(account, None)
            if universe is not None:
                await universe.close()

    async def _sweep(self) -> None:
        """Accounts that are marked as deleted end here."""
        while True:
            await asyncio.sleep(_SWEEP_S)
            try:
                for account in self._others():
                    if folders.is_deleted(self._config, account):
                        await self._close(account)
                await asyncio.to_thread(folders.sweep, self._config)
            except Exception:
                _log.exception("a deleted account cannot be removed")

    # Whose request is it?

    def asleep(self, request: Request) -> str | None:
        """The account of the request's access key, if it has to be opened."""
        found = _KEY.search(request.headers.get("authorization") or unquote(request.query))
        account = self._account_of(found.group(1)) if found else None
        return None if account in self.opened else account

    async def awake_key(self, access_key: str) -> None:
        account = self._account_of(access_key)
        if account and account not in self.opened:
            await self.open(account)

    def credential(self, access_key: str) -> Credential | None:
        """`sigv4.Lookup` over all accounts: the key's own, or whoever knows a key without one."""
        own = self.opened.get(account_of_key(access_key) or "")
        for universe in [own] if own else list(self.opened.values()):
            found = universe.credentials.find(access_key)
            if found is not None:
                return found
        return None

    def open_credential(self, access_key: str) -> Credential:
        """With open access: whoever nobody knows is an account's root."""
        universe = self.opened.get(self._account_of(access_key) or "", self.default)
        return open_credential(universe.config, access_key)

    def home(self, caller: Caller) -> Universe:
        return self.opened.get(caller.account, self.default)

    def _account_of(self, access_key: str) -> str | None:
        """With open access, an account's id is a key of it, too."""
        if self._config.open_access and re.fullmatch(r"\d{12}", access_key):
            return access_key
        return account_of_key(access_key)

    # Who has it?

    def bucket_owner(self, bucket: str, first: str = "") -> Universe | None:
        """Bucket names are unique over all accounts."""
        for universe in self._from(first):
            if of_name(universe.cloud.database.view(), bucket) is not None:
                return universe
        return None

    def cloud_of_bucket(self, bucket: str) -> Cloud:
        return (self.bucket_owner(bucket) or self.default).cloud

    def region_of_bucket(self, bucket: str) -> str:
        owner = self.bucket_owner(bucket)
        found = owner and of_name(owner.cloud.database.view(), bucket)
        return found.region if found else self._config.region

    def gateway_of_api(self, api_id: str) -> GatewayState:
        for universe in self._from(""):
            if universe.gateway.gateway.has(api_id):
                return universe.gateway
        return self.default.gateway

    def gateway_of_host(self, host: str) -> GatewayState:
        """Of the front door: another account's only under a name of its distribution."""
        for universe in self.of_host(host):
            if universe.gateway.edge.serves(host):
                return universe.gateway
        return self.default.gateway

    def of_host(self, host: str) -> list[Universe]:
        """Who may answer under a name of their own choice. Names that requests to AWS have are
        nobody's, and this machine's the default account's alone: others would read along."""
        name = host.rpartition(":")[0] or host
        if _RESERVED.fullmatch(name):
            return []
        own = (urlsplit(self._config.public_url).hostname, self._config.host)
        if name.lower() in own or name.lower().endswith(".localhost"):
            return [self.default]
        return list(self._from(""))

    def _from(self, first: str) -> Iterator[Universe]:
        own = self.opened.get(first, self.default)
        yield own
        yield from (universe for universe in self.opened.values() if universe is not own)

    # What `Dispatcher` asks (`Neighbours`)

    def elsewhere(self, call: Call) -> Dispatcher | None:
        """The account that has what the call names, if it is not the one that performs it."""
        if len(self.opened) == 1:
            return None
        here = call.config.account
        if call.service == "s3":
            bucket = call.params.get("Bucket")
            if not bucket or call.operation == "CreateBucket":
                return None
            owner = self.bucket_owner(bucket, here)
        elif call.service == "sts" and call.caller.kind == "service":
            return None  # as AWS: nobody passes another account's role to a service
        else:
            owner = self.opened.get(_named_account(call) or here)
        return owner.dispatcher if owner and owner.config.account != here else None

    @asynccontextmanager
    async def naming(self, call: Call) -> AsyncIterator[None]:
        """While something is named, nobody else makes one of that name."""
        async with self._naming:
            if call.operation != "CreateBucket":
                self._check_hosts(call)
                yield
                return
            owner = self.bucket_owner(call.params["Bucket"], call.config.account)
            if owner is not None and owner.config.account != call.config.account:
                raise AwsError(
                    "BucketAlreadyExists",
                    "The requested bucket name is not available. The bucket namespace is shared by "
                    "all users of the system. Please select a different name and try again.",
                    409,
                    BucketName=call.params["Bucket"],
                )
            yield

    def _check_hosts(self, call: Call) -> None:
        """Whose a host is, is one account's alone: another would take its requests."""
        wanted = _hosts(call.params)
        for account, universe in self.opened.items():
            if account == call.config.account:
                continue
            known = (*universe.gateway.gateway.domains.names(), *universe.gateway.edge.names())
            if any(_is_below(a, b) or _is_below(b, a) for a in wanted for b in known):
                if call.service == "cloudfront":
                    raise AwsError("CNAMEAlreadyExists", _CNAME_TAKEN, 409)
                text = "The domain name you provided already exists."
                raise AwsError("ConflictException", text, 409)

    # What crosses accounts behind calls

    async def pass_on(self, fact: Fact, source_account: str) -> None:
        """A fact for another account goes into its outbox, if it is one of those that a service
        tells and the target's policy decides on."""
        _, _, service, _, account, *_ = fact.target.split(":")
        there = self.opened.get(account)
        if there is None or service not in _TOLD or not fact.attributes.get("principal"):
            _log.error("an event of %s is dropped: %s is not here", fact.source, fact.target)
            return
        attributes = {**fact.attributes, "source_account": source_account}
        now_ms = self._config.now_ms()

        def put(tx: Transaction) -> None:
            outbox.put(
                tx,
                fact.target,
                fact.payload,
                source=fact.source,
                now_ms=now_ms,
                key=fact.key,
                attributes=attributes,
            )

        await there.cloud.database.write(put)

    async def runtime_api(self, request: Request) -> Response:
        """Answers workers, of whichever account. One may ask before its process is known."""
        for pause_s in (0.01, 0.1, 1.0, 0.0):
            for universe in self.opened.values():
                if universe.functions.has_worker(request):
                    return await universe.functions.runtime_api(request)
            if pause_s and not request.raw_path.startswith("/w/"):
                await asyncio.sleep(pause_s)
        return await self.default.functions.runtime_api(request)


def _hosts(params: Params) -> list[str]:
    """The names that a domain or a distribution asks for."""
    config = params.get("DistributionConfig") or {}
    config = (params.get("DistributionConfigWithTags") or {}).get("DistributionConfig") or config
    names = [params.get("DomainName") or params.get("domainName") or ""]
    names += (config.get("Aliases") or {}).get("Items") or []
    return [str(name).lower() for name in names if name]


def _is_below(name: str, pattern: str) -> bool:
    return name == pattern or (pattern.startswith("*.") and name.endswith(pattern[1:]))


def _with_table(params: Params) -> Params:
    """Of several tables the first one tells: all of a call belong to one account."""
    for name in params.get("RequestItems") or ():
        return {"TableName": name}
    for action in params.get("TransactItems") or ():
        return next((each for each in action.values() if each), {})
    return params


def _named_account(call: Call) -> str | None:
    params = call.params
    if call.operation == "PutEvents":  # all of a call go one way
        params = params["Entries"][0] if params.get("Entries") else {}
    if call.service == "dynamodb":
        params = _with_table(params)
    for member in _NAMES.get(call.service, ()):
        found = _ACCOUNT.fullmatch(str(params.get(member, "")))
        if found:
            return found.group(1)
    return None
