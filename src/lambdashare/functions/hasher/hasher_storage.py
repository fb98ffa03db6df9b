"""The second witness: the checksum that S3 itself keeps of the object.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html
"""

import base64
from dataclasses import dataclass
from typing import Any

from lambdashare_core.tables import Item

_MEMBERS = {
    "sha256": "ChecksumSHA256",
    "crc64nvme": "ChecksumCRC64NVME",
    "sha1": "ChecksumSHA1",
    "crc32": "ChecksumCRC32",
}


@dataclass(frozen=True, slots=True)
class Witness:
    algorithm: str = ""
    value: bytes = b""
    part_size: int = 0  # 0: of the full object

    @property
    def lanes(self) -> tuple[str, ...]:
        """What must be computed beside the seven sums to compare with it."""
        return (f"composite:{self.part_size}",) if self.part_size else ()

    def compare(self, sums: dict[str, str]) -> dict[str, Any] | None:
        if not self.algorithm:
            return None
        name = self.lanes[0] if self.part_size else self.algorithm
        return {
            "algorithm": self.algorithm,
            "kind": "composite" if self.part_size else "full",
            "value": self.value.hex(),
            "agrees": sums[name] == self.value.hex(),
        }


def storage_witness(head: dict[str, Any], item: Item) -> Witness:
    """What the object's HEAD says; nothing where there is no sum that can be compared."""
    for algorithm, member in _MEMBERS.items():
        value, _, parts = head.get(member, "").partition("-")
        if not value:
            continue
        composite = bool(parts) or head.get("ChecksumType") == "COMPOSITE"
        # SHA-256 of a multipart object is never of the full object
        composite |= algorithm == "sha256" and "-" in head["ETag"]
        if composite and algorithm != "sha256":
            continue
        part_size = item["part_size"] if composite else 0
        return Witness(algorithm, base64.b64decode(value), part_size)
    return Witness()
