"""What Lambda says of an invocation: END and REPORT lines, and why a worker ended.

https://docs.aws.amazon.com/lambda/latest/dg/troubleshooting-invocation.html
"""

import math
import os
import signal
from pathlib import Path

from cloudlet.functions.worker_process import Answer, Invocation, WorkerProcess

_PAGE = os.sysconf("SC_PAGE_SIZE")
_MB = 1 << 20
_WEIGH_S = 0.1  # a worker is weighed as often at most: looking costs more than some invocations


def report(process: WorkerProcess, invocation: Invocation, answer: Answer, now_s: float) -> None:
    """Writes the closing lines of an invocation to the function's log."""
    if now_s - process.weighed_s > _WEIGH_S:
        process.weighed_s = now_s
        process.peak_bytes = max(process.peak_bytes, _resident_bytes(process.pid))
    duration_ms = (now_s - invocation.started_s) * 1000
    used_mb = min(math.ceil(process.peak_bytes / _MB), process.spec.memory_mb)
    fields = [
        f"REPORT RequestId: {invocation.request_id}",
        f"Duration: {duration_ms:.2f} ms",
        f"Billed Duration: {math.ceil(duration_ms)} ms",
        f"Memory Size: {process.spec.memory_mb} MB",
        f"Max Memory Used: {used_mb} MB",
    ]
    if process.init_ms:
        fields.append(f"Init Duration: {process.init_ms:.2f} ms")
        process.init_ms = 0.0
    if process.fate == "timeout":
        fields.append("Status: timeout")
    elif answer.is_lost:
        kind = "Runtime.OutOfMemory" if process.fate == "memory" else "Runtime.ExitError"
        fields += ["Status: error", f"Error Type: {kind}"]
    process.line(f"END RequestId: {invocation.request_id}")
    process.line("\t".join(fields) + "\t")


def exit_message(request_id: str, status: int) -> str:
    if status == 0:
        reason = "Runtime exited without providing a reason"
    elif status > 0:
        reason = f"Runtime exited with error: exit status {status}"
    else:
        name = (signal.strsignal(-status) or str(-status)).lower()
        reason = f"Runtime exited with error: signal: {name}"
    return f"RequestId: {request_id} Error: {reason}"


def timeout_message(request_id: str, timeout_s: float) -> str:
    return f"RequestId: {request_id} Error: Task timed out after {timeout_s:.2f} seconds"


def _resident_bytes(pid: int) -> int:
    """Of the process alone."""
    try:
        descriptor = os.open(f"/proc/{pid}/statm", os.O_RDONLY)
    except OSError:  # gone since, or not Linux
        return 0
    try:
        return int(os.read(descriptor, 64).split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0
    finally:
        os.close(descriptor)


def usage(pid: int) -> tuple[int, int]:
    """Resident bytes and number of threads of a process and all it started."""
    total_bytes = count = 0
    waiting = [pid] if pid else []
    while waiting:
        folder = Path(f"/proc/{waiting.pop()}")
        try:
            total_bytes += int((folder / "statm").read_bytes().split()[1]) * _PAGE
            for task in os.listdir(folder / "task"):  # noqa: PTH208 - hot
                count += 1
                children = (folder / "task" / task / "children").read_bytes()
                waiting += [int(child) for child in children.split()]
        except (OSError, IndexError):
            continue  # gone since, or not Linux
        if count > 1 << 14:
            break
    return total_bytes, count
