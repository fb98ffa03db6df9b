"""Lines of access logs: no request writes lines of its own."""

import pytest

from cloudlet.exchange import Body, Request, Response
from cloudlet.front.access_lines import Seen, line


@pytest.mark.parametrize("query", ["versionId=a%0AFORGED", "a%0Aforged", 'a="'])
def test_a_request_is_one_line(query: str) -> None:
    headers = {"host": "localhost", "user-agent": 'me" 200 "you'}
    request = Request("GET", "/bucket/k", query, headers, Body.of(b""), seen=Seen())
    written = line(request, Response(403, []), ("000000000000", "bucket", "k"), 0)
    assert "\n" not in written
    assert written.count('"') == 6
