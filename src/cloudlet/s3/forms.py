"""Objects posted by a browser's form: what its fields mean, and how the answer looks.

The file becomes an object as PutObject would make it; the fields stand for PutObject's headers.
Reading the form is `wire.multipart_form`'s part, whose signature it has `auth.forms`'.
https://docs.aws.amazon.com/AmazonS3/latest/API/RESTObjectPOST.html
"""

import re
from collections.abc import Mapping
from functools import cache
from urllib.parse import quote, urlencode, urlsplit
from xml.sax.saxutils import escape

from botocore.model import StructureShape

from cloudlet.call import Params
from cloudlet.errors import AwsError
from cloudlet.exchange import Body, Request, Response
from cloudlet.s3 import faults, form_policy, intake
from cloudlet.s3.bucket import address
from cloudlet.wire import models
from cloudlet.wire.multipart_form import Form
from cloudlet.wire.rest import Binder
from cloudlet.wire.xml_codec import DECLARATION, parse_document

_FILE_NAME = "${filename}"
_AS_THEY_ARE = ("policy", "signature", "x-amz-signature")  # no file name is put in these
_HEADERS = (
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-md5",
    "content-type",
    "expires",
)
_NO_HEADERS = (
    "x-amz-algorithm",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-signature",
    "x-amz-security-token",
)
_META = "x-amz-meta-"
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+")
_STATUSES = ("200", "201", "204")


def complete(form: Form, bucket: str, now_ms: int) -> Params:
    """PutObject's parameters, after the policy has been asked."""
    fields = {name: _filled(form, name) for name in form.fields}
    if "key" not in fields:
        raise faults.invalid_argument(
            "Bucket POST must contain a field named 'key'.  If it is specified, please check the "
            "order of the fields.",
            "key",
            "",
        )
    limits = None
    if "policy" in fields:
        limits = form_policy.check(fields["policy"], {**fields, "bucket": bucket}, now_ms)
    form.fields = fields
    form.body.least, most = limits or (0, intake.BODY_BYTES_MAX)
    form.body.most = min(most, intake.BODY_BYTES_MAX)
    return {**_params(fields), "Bucket": bucket, "Key": fields["key"], "Body": form.body}


def _filled(form: Form, name: str) -> str:
    value = form.fields[name]
    if name in _AS_THEY_ARE or not form.file_name:
        return value
    own = form.file_name.replace("\\", "/").rpartition("/")[2]  # some browsers send the whole path
    return value.replace(_FILE_NAME, own)


def _params(fields: Mapping[str, str]) -> Params:
    headers = {n: v for n, v in fields.items() if n in _HEADERS}
    headers |= {n: v for n, v in fields.items() if n.startswith("x-amz-") and n not in _NO_HEADERS}
    if "acl" in fields:
        headers["x-amz-acl"] = fields["acl"]
    params: Params = {}
    request = Request("PUT", "/", "", headers, Body.of(b""))
    try:
        _binder().bind(request, {}, [], params)
    except AwsError as error:
        raise faults.invalid_argument(error.message) from error
    metadata = {n.removeprefix(_META): v for n, v in fields.items() if n.startswith(_META)}
    for name in metadata:
        if not _TOKEN.fullmatch(name):  # it could never be answered as a header
            raise faults.invalid_argument("Metadata names must be tokens", f"{_META}{name}")
    if metadata:
        params["Metadata"] = metadata
    if "tagging" in fields:
        params["Tagging"] = _tags(fields["tagging"])
    return params


@cache
def _binder() -> Binder:
    shape = models.load("s3").operation("PutObject").input_shape
    assert isinstance(shape, StructureShape)
    return Binder(shape)


def _tags(document: str) -> str:
    """The document's tags as the header would have them."""
    pairs = [
        (tag.findtext("Key", ""), tag.findtext("Value", ""))
        for tag in parse_document(document.encode()).iterfind("TagSet/Tag")
    ]
    return urlencode(pairs)


def answer(request: Request, params: Params, fields: Mapping[str, str], made: Response) -> Response:
    """PutObject's answer as the form wants it: a status, a document, or the browser elsewhere."""
    bucket, key = params["Bucket"], params["Key"]
    etag = dict(made.headers).get("ETag", "")
    location = address(request, bucket, key)
    elsewhere = _redirect(fields)
    if elsewhere:
        told = urlencode({"bucket": bucket, "key": key, "etag": etag}, quote_via=quote)
        mark = "&" if urlsplit(elsewhere).query else "?"
        return Response(303, [*made.headers, ("Location", f"{elsewhere}{mark}{told}")])
    status = fields.get("success_action_status", "204")
    headers = [*made.headers, ("Location", location)]
    if status != "201":
        return Response(int(status) if status in _STATUSES else 204, headers)
    body = (
        f"{DECLARATION}<PostResponse><Location>{escape(location)}</Location>"
        f"<Bucket>{escape(bucket)}</Bucket><Key>{escape(key)}</Key>"
        f"<ETag>{escape(etag)}</ETag></PostResponse>"
    )
    return Response(201, [*headers, ("Content-Type", "application/xml")], body.encode())


def _redirect(fields: Mapping[str, str]) -> str:
    """ "" also where the address is none: then it counts as not there."""
    wanted = fields.get("success_action_redirect") or fields.get("redirect", "")
    try:
        parts = urlsplit(wanted)
    except ValueError:
        return ""
    return wanted if parts.scheme in ("http", "https") and parts.netloc else ""
