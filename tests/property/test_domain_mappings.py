"""Base paths of custom domains are prefixes by whole segments; what is left stays as it came."""

from hypothesis import given
from hypothesis import strategies as st

from cloudlet.gateway.domains import _below

SEGMENT = st.sampled_from(["v1", "v2", "v", "orders", "a b", ""])
PATHS = st.lists(SEGMENT.filter(bool), max_size=3).map("/".join)


@given(PATHS, st.lists(SEGMENT, min_size=1, max_size=5))
def test_below(path: str, asked: list[str]) -> None:
    raw_path = "/" + "/".join(asked).replace(" ", "%20")
    wanted = path.split("/") if path else []
    rest = _below(path, raw_path)
    if asked[: len(wanted)] == wanted:
        assert rest == "/" + "/".join(asked[len(wanted) :]).replace(" ", "%20")
    else:
        assert rest is None
