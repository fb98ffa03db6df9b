"""Byte ranges: the Range header, part numbers, and the segments they touch.

https://www.rfc-editor.org/rfc/rfc9110#name-range
"""

import re
from collections.abc import Sequence

from cloudlet.errors import AwsError
from cloudlet.s3.records import Part
from cloudlet.store.blobs import Segment

_RANGE = re.compile(r"bytes=(\d*)-(\d*)", re.IGNORECASE)
Range = tuple[int, int]  # first byte, byte after the last


def parse(header: str | None, size_bytes: int) -> Range | None:
    """None means the whole object: no header, several ranges, or nonsense (as on AWS)."""
    match = _RANGE.fullmatch(header.strip()) if header else None
    if match is None or match.groups() == ("", ""):
        return None
    first, last = (_bounded(text) for text in match.groups())
    if not first:
        start, end = max(0, size_bytes - int(last)), size_bytes
        if int(last) == 0 or size_bytes == 0:
            raise _unsatisfiable(header, size_bytes)
        return start, end
    if last and int(last) < int(first):
        return None
    if int(first) >= size_bytes:
        raise _unsatisfiable(header, size_bytes)
    return int(first), min(int(last) + 1, size_bytes) if last else size_bytes


def _bounded(digits: str) -> str:
    """s3-037: numbers beyond all sizes are numbers, however many digits they have."""
    return digits.lstrip("0")[:20] or digits[:1]


def _unsatisfiable(header: str | None, size_bytes: int) -> AwsError:
    return AwsError(
        "InvalidRange",
        "The requested range is not satisfiable",
        416,
        RangeRequested=header,
        ActualObjectSize=size_bytes,
    )


def of_part(parts: Sequence[Part], number: int, size_bytes: int) -> Range:
    """An object that was put in one piece has one part."""
    if not parts and number == 1:
        return 0, size_bytes
    start = 0
    for index, (_, length, _) in enumerate(parts, 1):
        if index == number:
            return start, start + length
        start += length
    raise AwsError(
        "InvalidPartNumber",
        "The requested partnumber is not satisfiable",
        416,
        ActualPartCount=max(1, len(parts)),
        PartNumberRequested=number,
    )


def cut(segments: Sequence[Segment], wanted: Range) -> list[Segment]:
    """The runs of bytes that a range covers."""
    start, end = wanted
    pieces = []
    position = 0
    for blob, offset, length, key in segments:
        first, last = max(start, position), min(end, position + length)
        if first < last:
            pieces.append(Segment(blob, offset + first - position, last - first, key))
        position += length
        if position >= end:
            break
    return pieces


def content_range(wanted: Range, size_bytes: int) -> str:
    start, end = wanted
    return f"bytes {start}-{end - 1}/{size_bytes}"
