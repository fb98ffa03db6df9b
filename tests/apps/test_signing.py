"""The addresses under which browsers reach S3."""

import pytest


@pytest.mark.parametrize(
    ("endpoint", "begins"),
    [
        ("", "https://uploads.s3.eu-central-1.amazonaws.com/k?"),  # a browser's PUT can't follow
        ("http://share.test:8000", "http://share.test:8000/uploads/k?"),
    ],
)
def test_signed_urls_name_the_region(
    endpoint: str, begins: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lambdashare_core import tables

    for name, value in (
        ("S3_ENDPOINT", endpoint), ("AWS_REGION", "eu-central-1"),
        ("AWS_ACCESS_KEY_ID", "key"), ("AWS_SECRET_ACCESS_KEY", "secret"),
    ):  # fmt: skip
        monkeypatch.setenv(name, value)
    tables.signer.cache_clear()
    try:
        wanted = {"Bucket": "uploads", "Key": "k"}
        assert (
            tables.signer().generate_presigned_url("put_object", Params=wanted).startswith(begins)
        )
    finally:
        tables.signer.cache_clear()
