"""Runs a public conformance suite against a fresh cloudlet, with the identities that it wants.

Neither the suites nor what runs them are part of this repository: RUNNERS is the folder with
`run_s3tests.sh` and `run_alternator.sh`, SUITE a checkout of ceph/s3-tests or scylladb/scylladb,
PYTHON in the environment an interpreter with what the suite needs. Further options are pytest's.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.server import Server

_SCRIPTS = {"s3": "run_s3tests.sh", "dynamodb": "run_alternator.sh"}
_SECRET = re.compile(r"secret access key\s+(\S+)")
_KEY = re.compile(r"access key\s+(AKIA\w+)")


def main() -> int:
    parser = argparse.ArgumentParser(prog="script/conformance", description=__doc__)
    parser.add_argument("service", choices=sorted(_SCRIPTS))
    parser.add_argument("runners", type=Path, metavar="RUNNERS")
    parser.add_argument("suite", type=Path, metavar="SUITE")
    parser.add_argument(
        "--modern",
        action="store_true",
        help="new buckets as AWS makes them today; s3-tests expects those of before 2023",
    )
    arguments, rest = parser.parse_known_args()
    is_classic = arguments.service == "s3" and not arguments.modern
    with tempfile.TemporaryDirectory(prefix="conformance-") as folder:
        data = Path(folder) / "data"
        server = Server(data, None, *(["--classic-buckets"] if is_classic else [])).start()
        try:
            key = list(server.credentials().values())
            extra = _identities(server, key) if arguments.service == "s3" else {}
            command = ["bash", arguments.runners / _SCRIPTS[arguments.service], server.endpoint]
            command += [*key, arguments.suite, Path(folder) / "out.xml", *rest]
            return subprocess.run(command, env={**os.environ, **extra}, check=False).returncode
        finally:
            server.stop()


def _identities(server: Server, root: list[str]) -> dict[str, str]:
    """Other accounts, and a key of the key service."""
    found = {}
    for name in ("ALT", "TENANT", "ALTROOT"):
        command = [sys.executable, "-m", "cloudlet", "account", "create", name.lower()]
        command += ["--data", str(server.data)]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        access, secret = _KEY.search(said), _SECRET.search(said)
        assert access and secret
        found[f"S3_{name}_ACCESS"], found[f"S3_{name}_SECRET"] = access.group(1), secret.group(1)
    for name in ("IAM", "ROOT"):
        found[f"S3_{name}_ACCESS"], found[f"S3_{name}_SECRET"] = root
    kms = server.client("kms")
    arns = [kms.create_key()["KeyMetadata"]["Arn"] for _ in range(2)]
    # The runner writes one key's line into the suite's configuration; the suite reads a second one.
    found["S3_KMS_KEYID"] = f"{arns[0]}\nkms_keyid2 = {arns[1]}"
    return found


if __name__ == "__main__":
    sys.exit(main())
