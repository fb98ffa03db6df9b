"""Browser forms that post a file to a bucket: read, authenticate, check, perform, answer.

https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-UsingHTTPPOST.html
"""

import re

from cloudlet.auth import forms as signatures
from cloudlet.auth.sigv4 import Verifier
from cloudlet.call import ANONYMOUS, Call
from cloudlet.config import Config
from cloudlet.errors import AwsError
from cloudlet.exchange import Request, Response
from cloudlet.front.accounts import Accounts
from cloudlet.front.buckets import bucket_of
from cloudlet.s3 import faults, forms
from cloudlet.wire import multipart_form
from cloudlet.wire.protocol import protocol, s3_path

_BUCKET_PATH = re.compile(r"/[^/]+/?")


def is_form(request: Request) -> bool:
    """A POST to a bucket, and to none of its sub-resources."""
    return (
        request.method == "POST"
        and not request.query
        and _BUCKET_PATH.fullmatch(s3_path(request)) is not None
    )


class Forms:
    """Answers forms with S3's responses; raises AwsError."""

    def __init__(self, config: Config, accounts: Accounts, verifier: Verifier) -> None:
        self._config = config
        self._accounts = accounts
        stand_in = accounts.open_credential if config.open_access else None
        self._verifier = signatures.FormVerifier(verifier, stand_in)

    async def post(self, request: Request) -> Response:
        boundary = multipart_form.boundary_of(request.headers.get("content-type", ""))
        if not boundary:
            how = "Bucket POST must be of the enclosure-type multipart/form-data"
            raise faults.precondition_failed(how)
        if request.body.length is None:
            raise _no_length()
        form = await multipart_form.open_form(request, boundary)
        config, accounts = self._config, self._accounts
        await accounts.awake_key(signatures.access_key(form.fields))
        region = accounts.region_of_bucket(bucket_of(request))
        signer = self._verifier.verify(form.fields, accounts.credential, config.now_ms(), region)
        caller = signer.caller if signer else ANONYMOUS
        params = forms.complete(form, bucket_of(request), config.now_ms())
        home = accounts.home(caller)
        home.credentials.note(caller, "s3")
        call = Call(home.cloud, "s3", "PostObject", params, caller, request)
        result = await home.dispatcher.perform(call, trusted=config.open_access)
        made = protocol("s3").response("PutObject", result, request.id)
        return forms.answer(request, params, form.fields, made)


def _no_length() -> AwsError:
    text = "You must provide the Content-Length HTTP header."
    return AwsError("MissingContentLength", text, 411)
