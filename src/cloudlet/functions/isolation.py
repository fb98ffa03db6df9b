"""What a machine lacks to shut functions in, in words for the one who starts cloudlet.

The measures themselves are `sandbox.py`'s, which also finds out which of them work.
"""

_NO_TMP = "functions have no /tmp of their own: TMPDIR names a folder, of no fixed size"
_NO_HIDING = (
    "functions can read and write this user's files, cloudlet's data with its root key included"
)
_NO_READ_ONLY = "functions can write this user's files outside the home and data directories"
_NO_PIDS = "functions see this machine's processes"
_NO_SCOPES = "functions can send signals to this user's processes"
_NO_ADOPTION = "processes that a function detaches outlive it"


def missing(report: dict[str, bool]) -> list[str]:
    """A line for each danger that is left. Nothing: fully shut in, as far as cloudlet can."""
    has_mounts, has_landlock = report["private_tmp"], report["landlock"]
    has_pids = report["pid_namespace"]
    lines = {
        _NO_HIDING: not has_mounts and not has_landlock,
        _NO_READ_ONLY: has_mounts and not has_landlock and not report["read_only"],
        _NO_TMP: not has_mounts,
        _NO_PIDS: not has_pids,
        _NO_SCOPES: not has_pids and not report["landlock_scopes"],
        _NO_ADOPTION: not has_pids and not report["adopts_orphans"],
    }
    return [line for line, is_so in lines.items() if is_so]
