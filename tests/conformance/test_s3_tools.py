"""S3 through the tools that people use, with their default settings.

Each is told its endpoint, keys and region in its own way, and no more. They come from PyPI with
the other requirements of the tests; where one has no build for a platform, its test is skipped.
"""

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from shutil import which
from typing import Any

import pytest

from tests.server import Server

LARGE_BYTES = 20 * 1024 * 1024 + 17
TOOLS = Path(sys.executable).parent  # where pip puts them
LARGE = "deep/er/large.bin"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "small.txt").write_text("hello")
    (folder / "empty").write_bytes(b"")
    (folder / "one + two = three.txt").write_text("plus")
    (folder / "a%20b ~ (c)'s & $d;e,f@g=h:i.txt").write_text("punctuation")
    (folder / "deep" / "ünï cödé 日本 🦊.txt").write_text("names")
    (folder / LARGE).write_bytes(os.urandom(LARGE_BYTES))
    for path in _files(folder):  # an object's time is whole seconds: younger files would seem newer
        os.utime(path, (1_700_000_000, 1_700_000_000))
    return folder


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def _sums(folder: Path) -> dict[str, str]:
    files = _files(folder)
    sums = [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]
    return dict(zip([str(path.relative_to(folder)) for path in files], sums, strict=True))


def _run(server: Server, *command: str, **more: str) -> str:
    path = f"{TOOLS}{os.pathsep}{os.environ['PATH']}"
    tool = which(command[0], path=path)
    if tool is None:
        pytest.skip(f"{command[0]} is not installed")
    key = server.root_key
    environment = {
        "PATH": path,
        "HOME": str(server.data.parent),
        "LANG": "C.UTF-8",
        "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": server.endpoint,
        "AWS_EC2_METADATA_DISABLED": "true",
        **more,
    }
    done = subprocess.run(
        [tool, *command[1:]], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, f"{command}: {done.stdout}\n{done.stderr}"
    return done.stdout


def _keys(server: Server, bucket: str) -> list[str]:
    listed = server.client("s3").list_objects_v2(Bucket=bucket)
    return [each["Key"] for each in listed.get("Contents", [])]


def test_boto3(server: Server, bucket: str, tree: Path, tmp_path: Path) -> None:
    """The transfer manager: large files in parts, with checksums of its choice."""
    client, names = server.client("s3"), _sums(tree)
    for name in names:
        client.upload_file(str(tree / name), bucket, name)
    assert _keys(server, bucket) == sorted(names, key=str.encode)
    for name in names:
        (tmp_path / "back" / name).parent.mkdir(parents=True, exist_ok=True)
        client.download_file(bucket, name, str(tmp_path / "back" / name))
    assert _sums(tmp_path / "back") == names
    head = client.head_object(Bucket=bucket, Key=LARGE, ChecksumMode="ENABLED")
    assert head["ContentLength"] == LARGE_BYTES and head["ETag"].endswith('-3"')
    assert head["ServerSideEncryption"] == "AES256"
    gone = client.delete_objects(
        Bucket=bucket, Delete={"Objects": [{"Key": name} for name in names]}
    )
    assert {each["Key"] for each in gone["Deleted"]} == set(names)
    assert _keys(server, bucket) == []


def test_aws_cli(server: Server, bucket: str, tree: Path, tmp_path: Path) -> None:
    there, back = f"s3://{bucket}/tree", tmp_path / "back"
    _run(server, "aws", "s3", "sync", "--quiet", str(tree), there)
    listed = _run(server, "aws", "s3", "ls", "--recursive", f"{there}/").splitlines()
    assert {line[31:].removeprefix("tree/") for line in listed} == set(_sums(tree))
    _run(server, "aws", "s3", "sync", "--quiet", there, str(back))
    assert _sums(back) == _sums(tree)
    (tree / "small.txt").unlink()
    (tree / "empty").write_text("not any more")
    changed = _run(server, "aws", "s3", "sync", "--delete", "--no-progress", str(tree), there)
    assert sorted(line.split()[0] for line in changed.splitlines()) == ["delete:", "upload:"]
    _run(server, "aws", "s3", "mv", "--quiet", f"{there}/{LARGE}", f"{there}/moved")
    assert f"tree/{LARGE}" not in _keys(server, bucket) and "tree/moved" in _keys(server, bucket)
    _run(server, "aws", "s3", "rb", "--force", f"s3://{bucket}")


def test_s5cmd(server: Server, bucket: str, tree: Path, tmp_path: Path) -> None:
    there, back = f"s3://{bucket}/tree/", tmp_path / "back"

    def s5cmd(*command: str) -> str:
        return _run(server, "s5cmd", "--endpoint-url", server.endpoint, *command)

    s5cmd("sync", f"{tree}/", there)
    listed = s5cmd("ls", f"{there}*").splitlines()
    assert {line.split(maxsplit=3)[3] for line in listed} == set(_sums(tree))
    s5cmd("cp", f"{there}*", f"{back}/")
    assert _sums(back) == _sums(tree)
    assert s5cmd("sync", f"{tree}/", there) == ""
    (tree / "small.txt").unlink()
    assert s5cmd("sync", "--delete", f"{tree}/", there).split() == ["rm", f"{there}small.txt"]
    s5cmd("mv", f"{there}{LARGE}", f"s3://{bucket}/moved")
    assert f"tree/{LARGE}" not in _keys(server, bucket) and "moved" in _keys(server, bucket)
    s5cmd("rm", f"s3://{bucket}/*")
    assert _keys(server, bucket) == []


def test_rclone(server: Server, bucket: str, tree: Path, tmp_path: Path) -> None:
    there, back = f"C:{bucket}/tree", tmp_path / "back"
    settings = {
        "RCLONE_CONFIG": "/dev/null",
        "RCLONE_CONFIG_C_TYPE": "s3",
        "RCLONE_CONFIG_C_PROVIDER": "Other",  # its "AWS" wants TLS
        "RCLONE_CONFIG_C_ENV_AUTH": "true",
        "RCLONE_CONFIG_C_ENDPOINT": server.endpoint,
        "RCLONE_CONFIG_C_FORCE_PATH_STYLE": "true",  # no bucket is a host under 127.0.0.1
        "RCLONE_CONFIG_C_REGION": "us-east-1",
    }

    def rclone(*command: str) -> str:
        return _run(server, "rclone", *command, **settings)

    rclone("sync", str(tree), there)
    assert set(rclone("lsf", "-R", "--files-only", there).splitlines()) == set(_sums(tree))
    rclone("check", str(tree), there)  # by MD5
    rclone("check", "--download", str(tree), there)
    rclone("sync", there, str(back))
    assert _sums(back) == _sums(tree)
    (tree / "small.txt").unlink()
    rclone("sync", str(tree), there)
    rclone("moveto", f"{there}/{LARGE}", f"C:{bucket}/moved")
    assert f"tree/{LARGE}" not in _keys(server, bucket) and "moved" in _keys(server, bucket)
    assert "tree/small.txt" not in _keys(server, bucket)
    rclone("purge", f"C:{bucket}")
    assert bucket not in rclone("lsf", "C:")


def test_s3cmd(server: Server, bucket: str, tree: Path, tmp_path: Path) -> None:
    there, back, host = f"s3://{bucket}/tree/", tmp_path / "back", server.endpoint[7:]
    settings = tmp_path / "s3cfg"
    settings.write_text(
        f"[default]\naccess_key = {server.root_key['AccessKeyId']}\n"
        f"secret_key = {server.root_key['SecretAccessKey']}\n"
        f"host_base = {host}\nhost_bucket = {host}\nuse_https = False\n"
    )

    def s3cmd(*command: str) -> str:
        return _run(server, "s3cmd", "-c", str(settings), "--no-progress", *command)

    s3cmd("sync", f"{tree}/", there)
    listed = s3cmd("ls", "--recursive", there).splitlines()
    assert {line.split(there)[1] for line in listed} == set(_sums(tree))
    back.mkdir()
    s3cmd("sync", there, f"{back}/")
    assert _sums(back) == _sums(tree)
    assert "upload:" not in s3cmd("sync", f"{tree}/", there)
    (tree / "small.txt").unlink()
    assert "small.txt" in s3cmd("sync", "--delete-removed", f"{tree}/", there)
    info = s3cmd("info", f"{there}{LARGE}")
    assert str(LARGE_BYTES) in info and "SSE:       AES256" in info
    # without the option it sets ACLs, which new buckets refuse, on AWS, too
    s3cmd("mv", "--acl-private", f"{there}{LARGE}", f"s3://{bucket}/moved")
    assert f"tree/{LARGE}" not in _keys(server, bucket) and "moved" in _keys(server, bucket)
    s3cmd("rb", "--recursive", "--force", f"s3://{bucket}")
    assert bucket not in s3cmd("ls")


def test_curl(server: Server, bucket: str, tree: Path, tmp_path: Path) -> None:
    """Signs by itself; asks to continue before it sends much."""
    key: dict[str, Any] = server.root_key
    signed = [
        *("-sS", "--fail-with-body", "--aws-sigv4", "aws:amz:us-east-1:s3"),
        *("--user", f"{key['AccessKeyId']}:{key['SecretAccessKey']}"),
        *("-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD"),
    ]
    at = f"{server.endpoint}/{bucket}/large"
    _run(server, "curl", *signed, "-H", "Expect: 100-continue", "-T", str(tree / LARGE), at)
    for option in ("--http1.1", "--http1.0"):
        _run(server, "curl", *signed, option, "-o", str(tmp_path / "back"), at)
        assert (tmp_path / "back").read_bytes() == (tree / LARGE).read_bytes()
    _run(server, "curl", *signed, "--range", "5-1000004", "-o", str(tmp_path / "part"), at)
    assert (tmp_path / "part").read_bytes() == (tree / LARGE).read_bytes()[5:1000005]
