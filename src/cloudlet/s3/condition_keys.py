"""The condition keys that a bucket's policy may ask for; it is refused where it has any other.

https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
"""

import json
from pathlib import Path

_LISTED = json.loads(Path(__file__).with_suffix(".json").read_text().lower())
_KNOWN = {f"{service}:{name}" for service in ("s3", "aws") for name in _LISTED[service]}
_OF_TAGS = tuple(f"{name}/" for name in _LISTED["tags"])  # and the tag's key


def is_known(key: str) -> bool:
    """Those of identity providers and other services are theirs."""
    lower = key.lower()
    if lower.startswith(_OF_TAGS):
        return not lower.endswith(_OF_TAGS)
    return lower in _KNOWN or (":" in key and not lower.startswith(("s3:", "aws:")))
