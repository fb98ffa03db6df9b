"""How a worker of a spec is started: its environment, folders and limits, as AWS documents them.

https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
"""

import hashlib
import os
import re
import shutil
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cloudlet.config import Config
from cloudlet.functions import interpreters, linux, node_packages, peers, worker
from cloudlet.functions.interpreters import Interpreter
from cloudlet.functions.worker_process import Spec, WorkerProcess

# What a worker may reserve beyond its memory: threads' stacks and heaps are mostly never touched.
_ADDRESS_SPACE_EXTRA = 8 << 30
_SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"
_BUNDLED = ("boto3", "botocore", "urllib3")
_KINDS = ("on-demand", "provisioned-concurrency")  # of initialization
_API = re.compile(r"^https://([a-z0-9]+)\.execute-api\.[a-z0-9-]+\.amazonaws\.com(?=/|$)")
_NODE_RUNTIME = Path(__file__).with_name("node_runtime.mjs")
_NODE_RESOLUTION = Path(__file__).with_name("node_resolution.mjs")


@dataclass(frozen=True, slots=True)
class _Program:
    argv: list[str] | None  # None: fork
    path: list[str]  # that Python imports from
    readable: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)


def spawn_request(
    config: Config, process: WorkerProcess, runtime_port: int, credentials: dict[str, str]
) -> dict[str, Any]:
    """The zygote's order. Nothing of our own environment is handed on."""
    spec = process.spec
    interpreter = _interpreter(spec)
    program = _program(config, spec, interpreter)
    argv, path = program.argv, program.path
    environment = {
        **_environment(config, process, runtime_port),
        **program.environment,
        **credentials,
        **{name: _reachable(config, spec, value) for name, value in spec.environment},
    }
    if argv and path:
        environment["CLOUDLET_PATH"] = ":".join(path)
    opt = layers_at_opt(config, spec, interpreter)
    own_tmp = tmp_folder(config, process)
    own_tmp.mkdir(parents=True, exist_ok=True)
    return {
        "argv": argv,
        "path": path,
        "environment": environment,
        "folder": spec.folder,
        "readable": [
            spec.folder,
            *spec.layers,
            *_used_in_place(spec.layers),
            *filter(None, [opt]),
            *program.readable,
            *filter(None, [interpreter.home]),
        ],
        "hidden": [str(config.whole_data)],
        "opt": opt,
        "tmp": str(own_tmp),
        "tmp_mb": spec.tmp_mb,
        "address_space_bytes": None if argv else (spec.memory_mb << 21) + _ADDRESS_SPACE_EXTRA,
        "user_processes": _process_count(),
    }


def _reachable(config: Config, spec: Spec, value: str) -> str:
    """An API's AWS address becomes the one it has here, for Python code to ask it or to tell it to
    a page. (Node's runtime steers the requests themselves.)"""
    if not spec.runtime.startswith("python"):
        return value
    return _API.sub(rf"{config.aws_endpoint}/_aws/execute-api/\1", value)


def _used_in_place(layers: tuple[str, ...]) -> list[str]:
    """A layer that needs no build is a folder with a link to its source."""
    links = [Path(layer, name) for layer in layers for name in ("python", "nodejs")]
    return [str(link.resolve()) for link in links if link.is_symlink()]


def layers_at_opt(config: Config, spec: Spec, interpreter: Interpreter) -> str:
    """What a function finds at /opt: its layer, or all of them in one folder of links; "" where
    it has none, or where this machine keeps at /opt what the function runs on."""
    homes = (sys.base_prefix, sys.prefix, interpreter.home)
    if not spec.layers or not Path("/opt").is_dir() or any(h.startswith("/opt/") for h in homes):
        return ""
    if len(spec.layers) == 1:
        return spec.layers[0]
    name = hashlib.sha256("\0".join(spec.layers).encode()).hexdigest()[:24]
    folder = config.data / "runtimes" / "opt" / name
    if not folder.is_dir():
        new = folder.with_name(f"new-{config.new_secret(4)}")
        for layer in reversed(spec.layers):  # the first of them wins
            shutil.copytree(layer, new, copy_function=_link, dirs_exist_ok=True)
        with suppress(OSError):  # somebody else was faster
            new.rename(folder)
        shutil.rmtree(new, ignore_errors=True)
    return str(folder)


def _link(source: str, target: str) -> None:
    Path(target).unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)


def tmp_folder(config: Config, process: WorkerProcess) -> Path:
    """The worker's /tmp where the kernel grants no private one."""
    return config.data / "worker-tmp" / process.secret


def _interpreter(spec: Spec) -> Interpreter:
    found = interpreters.find(spec.runtime)
    if found.kind == "python" and interpreters.borrows((spec.folder, *spec.layers)):
        return interpreters.OWN
    return found


def _program(config: Config, spec: Spec, interpreter: Interpreter) -> _Program:
    if interpreter.kind == "provided":
        return _Program([_bootstrap(spec)], [])
    if interpreter.kind == "node":
        # V8 would let its heap grow with the machine's memory, past the function's
        heap = f"--max-old-space-size={spec.memory_mb * 3 // 4}"
        sdk = node_packages.provide(config.data, spec)
        return _Program(
            [interpreter.command, heap, str(_NODE_RUNTIME)],
            [],
            [str(_NODE_RUNTIME), str(_NODE_RESOLUTION), *filter(None, [sdk])],
            {
                "AWS_EXECUTION_ENV": f"AWS_Lambda_{spec.runtime}",
                "NODE_PATH": ":".join(_node_paths(spec, sdk)),
            },
        )
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    if interpreter.kind == "python":
        version = spec.runtime
    path = [spec.folder]
    for layer in spec.layers:
        path += [f"{layer}/python/lib/{version}/site-packages", f"{layer}/python"]
    if interpreter.kind == "python":
        folder = config.data / "runtimes" / spec.runtime
        packages = str(interpreters.bundle(folder, interpreter.command))
        compiled = str(interpreters.compiled(folder))
        return _Program(
            [interpreter.command, worker.__file__],
            [*path, packages],
            [packages, compiled],
            {"PYTHONPYCACHEPREFIX": compiled},
        )
    # The zygote has its own boto3 loaded: a function that brings another gets a fresh interpreter.
    brings_boto3 = any(Path(folder, name).is_dir() for folder in path for name in _BUNDLED)
    return _Program([sys.executable, worker.__file__] if brings_boto3 else None, path)


def _node_paths(spec: Spec, sdk: str) -> list[str]:
    major = spec.runtime.removeprefix("nodejs").removesuffix(".x")
    homes = [f"{layer}/nodejs{sub}" for layer in spec.layers for sub in (f"/node{major}", "")]
    return [f"{home}/node_modules" for home in (*homes, spec.folder, *filter(None, [sdk]))]


def _bootstrap(spec: Spec) -> str:
    """The code's own, or a layer's."""
    places = [Path(folder, "bootstrap") for folder in (spec.folder, *spec.layers)]
    return str(next((place for place in places if place.is_file()), places[0]))


def _environment(config: Config, process: WorkerProcess, runtime_port: int) -> dict[str, str]:
    """Python gets no AWS_EXECUTION_ENV: awslambdaric then polls in a thread, thrice slower."""
    spec = process.spec
    libraries = [spec.folder, f"{spec.folder}/lib", *(f"{layer}/lib" for layer in spec.layers)]
    programs = [f"{layer}/bin" for layer in spec.layers]
    is_open = spec.runtime.startswith("provided") and peers.can_be_told()
    own = "" if is_open else f"/w/{process.secret}"
    return {
        "_HANDLER": spec.handler,
        "AWS_LAMBDA_FUNCTION_NAME": spec.name,
        "AWS_LAMBDA_FUNCTION_VERSION": spec.version,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(spec.memory_mb),
        "AWS_LAMBDA_INITIALIZATION_TYPE": _KINDS[process.is_provisioned],
        "AWS_LAMBDA_LOG_GROUP_NAME": spec.log_group,
        "AWS_LAMBDA_LOG_STREAM_NAME": process.stream,
        "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{runtime_port}{own}",
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
