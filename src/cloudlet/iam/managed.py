"""AWS-managed policies that serverless templates and their authors name, as AWS documents them.

`managed_policies.json` has name (with its path) → version, date and document. Of ReadOnlyAccess it
keeps the services that could matter here.
https://docs.aws.amazon.com/aws-managed-policy/latest/reference/policy-list.html
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

Document = Mapping[str, Any]
PREFIX = "arn:aws:iam::aws:policy/"


@dataclass(frozen=True, slots=True)
class Managed:
    arn: str
    version: str
    updated_s: float
    document: Document


@cache
def policies() -> Mapping[str, Managed]:
    """By ARN."""
    text = Path(__file__).with_name("managed_policies.json").read_text(encoding="utf-8")
    return {
        PREFIX + name: Managed(
            PREFIX + name,
            item["Version"],
            datetime.fromisoformat(item["Updated"]).timestamp(),
            item["Document"],
        )
        for name, item in json.loads(text).items()
    }


def find(arn: str) -> Managed | None:
    return policies().get(arn) if arn.startswith(PREFIX) else None


def document(arn: str) -> Document | None:
    found = find(arn)
    return found.document if found else None
