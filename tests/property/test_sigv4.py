"""Whatever botocore signs, we verify; whatever is altered, we refuse."""

from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudlet.errors import AwsError
from tests.unit.auth.signing import signed, verify

TEXT = st.text(st.characters(blacklist_categories=("Cs",)), max_size=12)
PATH = st.lists(TEXT.filter(lambda s: s not in (".", "..")), max_size=4)
QUERY = st.lists(st.tuples(TEXT.filter(bool), TEXT), max_size=4)
VALUE = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)


@settings(max_examples=150, deadline=None)
@given(PATH, QUERY, VALUE, st.sampled_from(["s3", "lambda"]), st.booleans(), st.booleans())
def test_signed_requests(
    path: list[str],
    query: list[tuple[str, str]],
    value: str,
    service: str,
    is_presigned: bool,
    is_altered: bool,
) -> None:
    pairs = "&".join(f"{quote(k, safe='-_.~')}={quote(v, safe='-_.~')}" for k, v in query)
    url = f"http://127.0.0.1:4566/{'/'.join(quote(part, safe='-_.~') for part in path)}"
    request = signed(
        f"{url}?{pairs}" if pairs else url,
        service=service,
        headers={"x-amz-meta-v": value},
        presign_s=60 if is_presigned else None,
    )
    if not is_altered:
        verify(request)
        return
    request.raw_path += "!"
    with pytest.raises(AwsError):
        verify(request)
