"""The door to AWS's protocols: signature, operation, permission, answer.

What S3 asks of a door besides: preflights and CORS headers, and websites of buckets under their
own host name. The only place that catches broadly: a bug becomes AWS's internal error, with the
details in our log under the request's id.
"""

import logging
import re
from collections.abc import Awaitable, Callable
from functools import lru_cache
from urllib.parse import unquote

from cloudlet.auth import guard, sigv2
from cloudlet.auth.chunked import open_body
from cloudlet.auth.sigv4 import Lookup, Verified, Verifier
from cloudlet.call import ANONYMOUS, Call, Caller
from cloudlet.config import Config
from cloudlet.errors import AwsError
from cloudlet.exchange import Request, Response
from cloudlet.front import heads
from cloudlet.front.access_lines import Watch
from cloudlet.front.accounts import Accounts
from cloudlet.front.connection import ClientGone
from cloudlet.front.forms import Forms, is_form
from cloudlet.s3.buckets import regions
from cloudlet.wire import compression, faults, models
from cloudlet.wire.protocol import Protocol, protocol, s3_path

_log = logging.getLogger(__name__)
Decorate = Callable[[Request, Response], Response]
_ADDRESS = re.compile(r"(?:localhost|\d+\.\d+\.\d+\.\d+)(?::\d+)?")
_OWN_PATHS = ("/_", "/SimpleNotificationService-")
Special = Callable[[Request], Awaitable[Response | None] | None]


class AwsDoor:
    """Answers every request with a response; raises only when the client is gone.

    `specials` may answer before an operation is looked for (websites, gateways), `preflight`
    does for S3; `decorate` completes responses (CORS headers).
    """

    def __init__(self, config: Config, accounts: Accounts) -> None:
        self._config = config
        self._accounts = accounts
        self._lookup: Lookup = accounts.credential
        stand_in = accounts.open_credential if config.open_access else None
        self._verifier = Verifier(stand_in, self._region_of)
        self._forms = Forms(config, accounts, self._verifier)
        self._watch = Watch(accounts)
        self.specials: list[Special] = []
        self.preflight: Special = lambda request: None
        self.decorate: Decorate = lambda request, response: response

    def answer(self, request: Request, *, only_s3: bool = False) -> Awaitable[Response]:
        """`only_s3`: no other service, API or website is to be had, whatever host, path or scope
        a request names."""
        request.id = request.id or self._config.new_id()
        answering = self._answer(request, only_s3)
        return self._watched(request, answering) if self._watch.is_on else answering

    async def _watched(self, request: Request, answering: Awaitable[Response]) -> Response:
        self._watch.begin(request)
        return self._watch.seen(request, await answering)

    async def _answer(self, request: Request, only_s3: bool) -> Response:
        spoken: Protocol | None = None
        try:
            is_plain = only_s3 or is_usual(request.host, request.raw_path)
            for special in (self.preflight,) if is_plain else (*self.specials, self.preflight):
                answering = special(request)
                response = await answering if answering else None
                if response is not None:
                    return response
            service = "s3" if only_s3 else models.detect(request)
            if target := models.unknown_target(request, service):
                return faults.of_unknown_service(request, target)
            spoken = protocol(service, models.dialect(request, service))
            if service == "s3":
                heads.check_s3(request)
                if is_form(request):
                    return self.decorate(request, await self._forms.post(request))
            return self.decorate(request, await self._operation(request, spoken))
        except AwsError as error:
            if isinstance(error, ClientGone):
                raise
            if request.seen is not None:
                request.seen.code = error.code
            return self.decorate(request, (spoken or _likely(request)).fault(error, request))
        except Exception:
            _log.exception("request %s: %s %s", request.id, request.method, request.raw_path)
            bug = AwsError(
                "InternalError", "We encountered an internal error. Please try again.", 500
            )
            return self.decorate(request, (spoken or _likely(request)).fault(bug, request))

    async def _operation(self, request: Request, spoken: Protocol) -> Response:
        caller = await self._authenticate(request, spoken)
        home = self._accounts.home(caller)
        if caller is ANONYMOUS and not self._config.open_access:
            guard.admit_anyone(home.dispatcher.services.get(spoken.model.name))
        parsed = await spoken.parse(request)
        home.credentials.note(caller, spoken.model.signing_name)
        call = Call(home.cloud, spoken.model.name, parsed.operation, parsed.params, caller, request)
        call.takes_json = spoken.model.protocol == "json"
        call.takes_xml = spoken.model.protocol == "rest-xml"
        result = await home.dispatcher.perform(call, trusted=self._config.open_access)
        encoding = compression.chosen(request) if spoken.model.name == "dynamodb" else ""
        return spoken.response(parsed.operation, result, request.id, encoding)

    async def caller(self, request: Request, signing_name: str) -> Caller:
        """Whose signature a request to an application bears ("execute-api", "lambda")."""
        if isinstance(request.signer, Caller):
            return request.signer
        if account := self._accounts.asleep(request):
            await self._accounts.open(account)
        config = self._config
        verified = await self._verifier.verify(
            request, self._lookup, config.now_ms(), config.region, signing_name
        )
        return verified.caller if verified else ANONYMOUS

    async def _authenticate(self, request: Request, spoken: Protocol) -> Caller:
        """The caller; the request's body then checks itself against what was signed."""
        if account := self._accounts.asleep(request):
            await self._accounts.open(account)
        config = self._config
        if spoken.model.name == "s3" and sigv2.is_presigned(request):
            verified: Verified | None = sigv2.verify(request, self._lookup, config.now_ms())
        elif spoken.model.name == "s3" and config.classic_buckets and sigv2.is_signed(request):
            verified = sigv2.verify_header(request, self._lookup, config.now_ms())
        else:
            verified = await self._verifier.verify(
                request, self._lookup, config.now_ms(), config.region, spoken.model.signing_name
            )
        if spoken.model.name == "s3":  # of others' bodies the verifier took the hash
            request.body = open_body(request, verified)
        caller = verified.caller if verified else ANONYMOUS
        if request.seen is not None:
            request.seen.caller = caller
        return caller

    def _region_of(self, request: Request, said: str) -> str:
        """s3-099: one signs for the region of the bucket, or for the one that is to make it."""
        here = self._config.region
        bucket, _, key = unquote(s3_path(request)[1:]).partition("/")
        if request.method == "PUT" and not key and not request.query:
            return said if said in regions(here) else here
        return self._accounts.region_of_bucket(bucket)


def _likely(request: Request) -> Protocol:
    """What a client speaks whose service nobody knows here, from the kind of its body."""
    kind = request.headers.get("content-type", "").partition(";")[0]
    spoken = {"application/x-www-form-urlencoded": "sts", "application/json": "lambda"}
    return protocol(spoken.get(kind, "s3"))


def is_usual(host: str, raw_path: str) -> bool:
    """No name of anybody's and no path of our own: then nothing but an operation answers."""
    return _is_address(host) and not raw_path.startswith(_OWN_PATHS)


@lru_cache(maxsize=256)
def _is_address(host: str) -> bool:
    return _ADDRESS.fullmatch(host) is not None
