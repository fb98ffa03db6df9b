"""Request metrics and request payment: kept, answered, listed; what counts."""

from typing import Any

import pytest

from cloudlet.call import ANONYMOUS, Caller
from cloudlet.errors import AwsError
from cloudlet.s3 import payment, request_metrics
from cloudlet.s3.bucket import of_name
from cloudlet.s3.request_metrics import RequestMetrics, Told
from tests.unit.s3.conftest import Shelf

STRANGER = Caller("root", "arn:aws:iam::111111111111:root", "111111111111")


class Heard:
    """A meter that tells what was measured."""

    def __init__(self) -> None:
        self.sums: dict[tuple[str, str], float] = {}

    def add(
        self, namespace: str, name: str, dimensions: Any, value: float = 1.0, unit: str = ""
    ) -> None:
        place = (dict(dimensions)["FilterId"], name)
        self.sums[place] = self.sums.get(place, 0) + value


def want(shelf: Shelf, id_: str, **chosen: Any) -> None:
    shelf.call(
        request_metrics.put_bucket_metrics_configuration,
        Bucket="shelf", Id=id_, MetricsConfiguration={"Id": id_, **chosen},
    )  # fmt: skip


def test_configurations_are_listed_in_pages(shelf: Shelf) -> None:
    for number in range(102):
        want(shelf, f"id-{number:03}")
    ask = request_metrics.list_bucket_metrics_configurations
    first = shelf.call(ask, Bucket="shelf")
    token = first["NextContinuationToken"]
    second = shelf.call(ask, Bucket="shelf", ContinuationToken=token)
    assert (first["IsTruncated"], second["IsTruncated"]) == (True, False)
    assert [each["Id"] for each in second["MetricsConfigurationList"]] == ["id-100", "id-101"]
    gone = request_metrics.delete_bucket_metrics_configuration
    shelf.call(gone, Bucket="shelf", Id="id-001")
    with pytest.raises(AwsError, match="NoSuchConfiguration"):
        shelf.call(gone, Bucket="shelf", Id="id-001")
    with pytest.raises(AwsError, match="IdMismatch"):
        shelf.call(
            request_metrics.put_bucket_metrics_configuration,
            Bucket="shelf", Id="a", MetricsConfiguration={"Id": "b"},
        )  # fmt: skip


def test_requests_are_counted_by_filter(shelf: Shelf) -> None:
    heard = Heard()
    shelf.cloud.meter = heard
    metrics = RequestMetrics(shelf.cloud)
    assert not metrics.is_on
    want(shelf, "all")
    want(shelf, "logs", Filter={"Prefix": "logs/"})
    want(shelf, "red", Filter={"Tag": {"Key": "color", "Value": "red"}})
    shelf.put("apple", b"1", Tagging="color=red")
    metrics.add("shelf", Told("PUT", "apple", 200, 0, 1, 1.0, 2.0))
    metrics.add("shelf", Told("GET", "logs/1", 404, 10, 0, 1.0, 2.0))
    metrics.add("shelf", Told("LIST", "", 200, 10, 0, 1.0, 2.0))
    requests = {place: value for place, value in heard.sums.items() if "Requests" in place[1]}
    assert requests == {
        ("all", "AllRequests"): 3,
        ("all", "PutRequests"): 1,
        ("all", "GetRequests"): 1,
        ("all", "ListRequests"): 1,
        ("logs", "AllRequests"): 1,
        ("logs", "GetRequests"): 1,
        ("red", "AllRequests"): 1,
        ("red", "PutRequests"): 1,
    }
    assert heard.sums["all", "4xxErrors"] == heard.sums["all", "BytesUploaded"] == 1


def test_requesters_say_that_they_pay(shelf: Shelf) -> None:
    def may(caller: Caller, **params: Any) -> bool:
        view = shelf.database.view()
        bucket = of_name(view, "shelf")
        assert bucket is not None
        try:
            payment.check(shelf.made(caller, **params), view, bucket.id)
        except AwsError as error:
            assert error.code == "AccessDenied"
            return False
        return True

    assert may(STRANGER)
    wanted = {"Payer": "Requester"}
    put = payment.put_bucket_request_payment
    shelf.call(put, Bucket="shelf", RequestPaymentConfiguration=wanted)
    assert shelf.call(payment.get_bucket_request_payment, Bucket="shelf") == wanted
    assert not may(STRANGER)
    assert may(STRANGER, RequestPayer="requester")
    assert not may(ANONYMOUS, RequestPayer="requester")
    with pytest.raises(AwsError, match="MalformedXML"):
        shelf.call(put, Bucket="shelf", RequestPaymentConfiguration={"Payer": "Nobody"})
