"""How a worker of a spec is started: its environment, folders and limits, as AWS documents them.

https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
"""

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from cloudlet.config import Config
from cloudlet.errors import NotImplementedByCloudlet
from cloudlet.functions import linux, worker
from cloudlet.functions.worker_process import Spec, WorkerProcess

# What a worker may reserve beyond its memory: threads' stacks and heaps are mostly never touched.
_ADDRESS_SPACE_EXTRA = 8 << 30
_SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"
_BUNDLED = ("boto3", "botocore", "urllib3")


def spawn_request(
    config: Config, process: WorkerProcess, runtime_port: int, credentials: dict[str, str]
) -> dict[str, Any]:
    """The zygote's order. Nothing of our own environment is handed on."""
    spec = process.spec
    argv, path = _program(spec)
    environment = {
        **_environment(config, process, runtime_port),
        **credentials,
        **dict(spec.environment),
    }
    if argv and spec.runtime.startswith("python"):
        environment["CLOUDLET_PATH"] = ":".join(path)
    own_tmp = tmp_folder(config, process)
    own_tmp.mkdir(parents=True, exist_ok=True)
    return {
        "argv": argv,
        "path": path,
        "environment": environment,
        "folder": spec.folder,
        "readable": [spec.folder, *spec.layers],
        "hidden": [str(config.data)],
        "tmp": str(own_tmp),
        "tmp_mb": spec.tmp_mb,
        "address_space_bytes": None if argv else (spec.memory_mb << 21) + _ADDRESS_SPACE_EXTRA,
        "user_processes": _process_count(),
    }


def tmp_folder(config: Config, process: WorkerProcess) -> Path:
    """The worker's /tmp where the kernel grants no private one."""
    return config.data / "worker-tmp" / process.secret


def check_runtime(runtime: str) -> None:
    if not (runtime.startswith(("python3.", "provided"))):
        raise NotImplementedByCloudlet(f"The runtime {runtime}")


def _program(spec: Spec) -> tuple[list[str] | None, list[str]]:
    """A command to execute, or None to fork; and the folders that Python imports from."""
    if spec.runtime.startswith("provided"):
        return [str(Path(spec.folder) / "bootstrap")], []
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    path = [spec.folder]
    for layer in spec.layers:
        path += [f"{layer}/python/lib/{version}/site-packages", f"{layer}/python"]
    # The zygote has its own boto3 loaded: a function that brings another gets a fresh interpreter.
    brings_boto3 = any(Path(folder, name).is_dir() for folder in path for name in _BUNDLED)
    return ([sys.executable, worker.__file__] if brings_boto3 else None), path


def _environment(config: Config, process: WorkerProcess, runtime_port: int) -> dict[str, str]:
    """AWS_EXECUTION_ENV is left out: awslambdaric then polls in a thread, three times slower."""
    spec = process.spec
    libraries = [spec.folder, f"{spec.folder}/lib", *(f"{layer}/lib" for layer in spec.layers)]
    programs = [f"{layer}/bin" for layer in spec.layers]
    return {
        "_HANDLER": spec.handler,
        "AWS_LAMBDA_FUNCTION_NAME": spec.name,
        "AWS_LAMBDA_FUNCTION_VERSION": spec.version,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(spec.memory_mb),
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": spec.log_group,
        "AWS_LAMBDA_LOG_STREAM_NAME": process.stream,
        "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{runtime_port}/w/{process.secret}",
        "AWS_REGION": config.region,
        "AWS_DEFAULT_REGION": config.region,
        "AWS_ENDPOINT_URL": config.aws_endpoint,
        "LAMBDA_TASK_ROOT": spec.folder,
        "LAMBDA_RUNTIME_DIR": str(Path(worker.__file__).parent),
        "LANG": "en_US.UTF-8",
        "LD_LIBRARY_PATH": ":".join(libraries),
        "PATH": ":".join([*programs, str(Path(sys.executable).parent), _SYSTEM_PATH]),
        "TZ": ":UTC",
    }


def _process_count() -> int:
    """How many processes and threads the user has; the kernel counts them against the limit."""
    if os.getuid() == 0 or not linux.is_linux():
        return 0
    count = 0
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError):  # ended just now
                is_ours = folder.stat().st_uid == os.getuid()
                count += len(os.listdir(folder / "task")) if is_ours else 0  # noqa: PTH208 - hot
    return count
