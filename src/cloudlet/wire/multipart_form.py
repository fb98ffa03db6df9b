"""multipart/form-data that ends in a file: small fields in memory, the file as a stream.

`open_form` reads the fields before the file; the rest of the request is the file's `FileBody`,
read as its consumer asks for it. Fields after the file are ignored, as S3 ignores them. The
`FieldReader` is sans-IO: bytes in, fields out.
https://docs.aws.amazon.com/AmazonS3/latest/API/RESTObjectPOST.html
"""

import re
from dataclasses import dataclass
from urllib.parse import unquote

from cloudlet.errors import AwsError
from cloudlet.exchange import Body, Receive, Request

FIELDS_BYTES_MAX = 20 << 10
_FILE = "file"
_TYPE = re.compile(r'multipart/form-data\s*;(?:.*;)?\s*boundary=(?:"([^"]+)"|([^\s;,]+))', re.I)
_ARGUMENT = re.compile(r';\s*(name|filename)(\*?)=(?:"((?:[^"\\]|\\(?!")|\\")*)"|([^;\s]*))', re.I)


@dataclass(slots=True)
class Form:
    """`fields` by lower-case names; `file_name` is "" where the file came without one."""

    fields: dict[str, str]
    file_name: str
    body: "FileBody"


def boundary_of(content_type: str) -> bytes:
    """b"" where the type is another one."""
    found = _TYPE.match(content_type)
    return (found.group(1) or found.group(2)).encode("latin-1") if found else b""


async def open_form(request: Request, boundary: bytes) -> Form:
    """Reads up to the first byte of the file."""
    reader = FieldReader(boundary)
    while (first := reader.feed(data := await request.body.receive())) is None:
        if not data:
            raise _malformed()
    body = FileBody(request.body.receive, reader.mark, first)
    return Form(reader.fields, reader.file_name, body)


class FieldReader:
    """Takes the fields before the file."""

    def __init__(self, boundary: bytes) -> None:
        self.mark = b"\r\n--" + boundary
        self.fields: dict[str, str] = {}
        self.file_name = ""
        self._data = b"\r\n"  # so that the first boundary looks like the others
        self._at = -1  # after the last mark

    def feed(self, data: bytes) -> bytes | None:
        """What is there of the file, or None while it hasn't begun."""
        self._data += data
        if self._at < 0:
            self._at = self._after_mark(0)
        while self._at >= 0:
            if self._data.startswith(b"--", self._at):
                raise _no_file()
            end = self._data.find(b"\r\n\r\n", self._at)
            if end < 0:
                break
            name, file_name = _disposition(self._data[self._at : end])
            if name == _FILE:
                self._check_size(end)
                self.file_name = file_name
                return self._data[end + 4 :]
            after = self._after_mark(end + 4)
            if after < 0:
                break
            self.fields[name] = _text(self._data[end + 4 : after - len(self.mark)])
            self._at = after
        self._check_size(len(self._data))
        return None

    def _after_mark(self, start: int) -> int:
        at = self._data.find(self.mark, start)
        return -1 if at < 0 else at + len(self.mark)

    def _check_size(self, size_bytes: int) -> None:
        if size_bytes > FIELDS_BYTES_MAX:
            raise AwsError(
                "MaxPostPreDataLengthExceededError",
                "Your POST request fields preceding the upload file were too large.",
                400,
                MaxPostPreDataLengthBytes=FIELDS_BYTES_MAX,
            )


class FileBody(Body):
    """The file of a form. Its length is known at its end only; it must be within `least` and
    `most`, which the form's policy may narrow. What is too large is counted, not kept."""

    def __init__(self, source: Receive, mark: bytes, first: bytes) -> None:
        super().__init__(self._next, None)
        self.least, self.most = 0, 5 << 30
        self._source = source
        self._mark = mark
        self._waiting = first
        self._size_bytes = 0
        self._is_done = False

    async def _next(self) -> bytes:
        while not self._is_done:
            chunk = await self._part()
            self._size_bytes += len(chunk)
            if self._size_bytes > self.most:
                await self._refuse_large()
            if chunk:
                return chunk
        if self.length is None:
            await self._end()
        return b""

    async def _part(self) -> bytes:
        """The next bytes of the file; b"" if none can be told from the boundary yet."""
        at = self._waiting.find(self._mark)
        if at >= 0:
            self._is_done = True
            return self._waiting[:at]
        kept = len(self._mark) - 1
        ready, self._waiting = self._waiting[:-kept], self._waiting[-kept:]
        if not ready:
            data = await self._source()
            if not data:
                raise _malformed()
            self._waiting += data
        return ready

    async def _end(self) -> None:
        while await self._source():  # fields that nobody looks at
            pass
        self.length = self._size_bytes
        if self._size_bytes < self.least:
            raise AwsError(
                "EntityTooSmall",
                "Your proposed upload is smaller than the minimum allowed size",
                400,
                ProposedSize=self._size_bytes,
                MinSizeAllowed=self.least,
            )

    async def _refuse_large(self) -> None:
        while not self._is_done:
            self._size_bytes += len(await self._part())
        raise AwsError(
            "EntityTooLarge",
            "Your proposed upload exceeds the maximum allowed size",
            400,
            ProposedSize=self._size_bytes,
            MaxSizeAllowed=self.most,
        )


def _disposition(head: bytes) -> tuple[str, str]:
    """Name of the field, in lower case, and of the file, if any."""
    for line in _text(head).split("\r\n"):
        header, _, value = line.partition(":")
        if header.strip().lower() == "content-disposition":
            found = {"name": "", "filename": ""}
            for argument in _ARGUMENT.finditer(value):
                name, is_extended, quoted, bare = argument.groups()
                text = (quoted if quoted is not None else bare).replace('\\"', '"')
                if is_extended:
                    text = unquote(text.rpartition("'")[2])
                found[name.lower()] = text.replace("%22", '"')
            return found["name"].lower(), found["filename"]
    raise _malformed()


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise _malformed() from error


def _malformed() -> AwsError:
    text = "The body of your POST request is not well-formed multipart/form-data."
    return AwsError("MalformedPOSTRequest", text, 400)


def _no_file() -> AwsError:
    return AwsError(
        "InvalidArgument",
        "POST requires exactly one file upload per request.",
        400,
        ArgumentName=_FILE,
        ArgumentValue=0,
    )
