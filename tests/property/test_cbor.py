"""CBOR: what is written is read, and no bytes break the reader."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudlet.errors import AwsError
from cloudlet.wire import cbor_codec

_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
)
VALUES = st.recursive(
    _SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20
)


@given(VALUES)
def test_what_is_written_is_read(value: object) -> None:
    assert cbor_codec.loads(cbor_codec.dumps(value)) == value


@given(st.binary())
def test_garbage_is_refused(data: bytes) -> None:
    try:
        cbor_codec.loads(data)
    except AwsError as error:
        assert error.code == "SerializationException"


def test_endless_values_dates_and_short_floats() -> None:
    data = bytes.fromhex("bf6161 9f01f93c00ff 6162 7f6178 6179 ff ff".replace(" ", ""))
    assert cbor_codec.loads(data) == {"a": [1, 1.0], "b": "xy"}
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    assert cbor_codec.loads(cbor_codec.dumps(moment)) == moment.timestamp()


@pytest.mark.parametrize("data", ["81" * 100, "9f", "a10101", "c2f7", "fe", "1f", "0000"])
def test_what_no_client_sends_is_refused(data: str) -> None:
    with pytest.raises(AwsError):
        cbor_codec.loads(bytes.fromhex(data))
