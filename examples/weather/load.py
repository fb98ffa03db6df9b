"""Puts real observations into the bucket, where `load` takes them up.

The files come with the package vega_datasets: Seattle's days of 2012 to 2015 (NOAA), and the hours
of 2010 of Seattle and San Francisco, which are in degrees Fahrenheit.

    eval "$(cloudlet env)"      # or your AWS credentials
    python examples/weather/load.py
"""

import argparse
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import boto3


class File(NamedTuple):
    key: str
    name: str
    unit: str


FILES = {
    "seattle-weather.csv": File("seattle/days.csv", "Seattle", "celsius"),
    "seattle-temps.csv": File("seattle/hours.csv", "Seattle", "fahrenheit"),
    "sf-temps.csv": File("san-francisco/hours.csv", "San Francisco", "fahrenheit"),
}


def folder() -> Path:
    """Found without importing the package, which would want pandas."""
    found = find_spec("vega_datasets")
    if found is None or found.origin is None:
        raise SystemExit("pip install --no-deps vega_datasets==0.9.0")
    return Path(found.origin).parent / "_data"


def upload(s3: Any, bucket: str) -> None:
    for name, file in FILES.items():
        s3.put_object(
            Bucket=bucket,
            Key=file.key,
            Body=(folder() / name).read_bytes(),
            ContentType="text/csv",
            Metadata={"name": file.name, "unit": file.unit},
        )
        print(f"{name} → s3://{bucket}/{file.key}")


def bucket_of(stack: str) -> str:
    (found,) = boto3.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
    outputs = {each["OutputKey"]: each["OutputValue"] for each in found["Outputs"]}
    return str(outputs["ObservationsBucket"])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--stack", default="weather", help="whose output names the bucket")
    parser.add_argument("--bucket", help="the bucket itself")
    wanted = parser.parse_args()
    upload(boto3.client("s3"), wanted.bucket or bucket_of(wanted.stack))


if __name__ == "__main__":
    main()
