"""MiniStack, the emulator, in a separate process on a free local port."""

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

from infra.local.template.loader import REGION
from infra.local.template.project import ROOT
from infra.local.workers.account import Limits
from infra.terminal.output import errors

PYTHON = ROOT / ".venv-ministack" / "bin" / "python"

CONCURRENCY = 12
"""Maximum number of concurrent functions: MiniStack keeps a process for each."""

FAULTS = "REHEARSAL_LAMBDA_FAULTS"
"""Variable of the functions: the faults of their calls (`tests.rehearsal.faulty_handler`)."""

_FAULT_LOG = "faults"

_START, _STOP = 30.0, 5.0
"""Seconds until MiniStack must answer after its start, and until it is killed."""


class RehearsalError(Exception):
    """The rehearsal cannot continue; the message has the cause and the remedy."""


class Endpoint:
    """An endpoint of AWS's services that accepts any credentials."""

    def __init__(self, url: str) -> None:
        self.url = url

    def client(self, service: str) -> Any:
        """Return a client of a service."""
        return client(service, self.url)

    def errors(self) -> list[str]:
        """Return error messages about a stack, if available."""
        return []


class MiniStack(Endpoint):
    """A MiniStack process that the rehearsal started."""

    def __init__(self, url: str, folder: Path, process: subprocess.Popen[bytes]) -> None:
        super().__init__(url)
        self.folder = folder
        self.process = process

    @property
    def log(self) -> Path:
        """Its log file."""
        return self.folder / "ministack.log"

    @property
    def faults(self) -> Path:
        """The file with a line for each fault of a call."""
        return self.folder / _FAULT_LOG

    @property
    def clock(self) -> Path:
        """The file with the number of seconds by which the functions' clocks are ahead."""
        return self.folder / "clock"

    def errors(self) -> list[str]:
        """Return the log's error messages about a stack, because stack events have no reason."""
        lines = self.log.read_text(errors="replace").splitlines()
        return [line.partition("] ")[2] for line in lines if " ERROR [cloudformation] " in line]

    def configure(self, **settings: object) -> None:
        """Change MiniStack's settings of Step Functions."""
        body = {f"stepfunctions.{name}": value for name, value in settings.items()}
        request = Request(  # noqa: S310 - the URL is ours
            f"{self.url}/_ministack/config",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        with urlopen(request, timeout=10) as answer:  # noqa: S310
            applied = json.load(answer)["applied"]
        if applied.keys() != body.keys():
            raise RehearsalError(f"MiniStack applied {sorted(applied)} of {sorted(body)}")

    def megabytes(self) -> float:
        """Return the memory of MiniStack and the functions' processes."""
        pages = os.sysconf("SC_PAGE_SIZE")
        total = 0
        for entry in Path("/proc").glob("[0-9]*/statm"):
            with suppress(OSError):  # the process has just ended
                if os.getpgid(int(entry.parent.name)) == self.process.pid:
                    total += int(entry.read_text().split()[1]) * pages
        return total / 2**20


def client(service: str, url: str) -> Any:
    """Return a boto3 client of an endpoint that accepts any credentials."""
    import boto3
    from botocore.config import Config

    make: Any = boto3.client  # its overloads are one a service
    return make(
        service,
        endpoint_url=url,
        region_name=REGION,
        aws_access_key_id="local",
        aws_secret_access_key="local",
        config=Config(
            retries={"total_max_attempts": 1}, read_timeout=120, inject_host_prefix=False
        ),
    )


@contextmanager
def ministack(limits: Limits | None = None) -> Iterator[MiniStack]:
    """Start MiniStack on a free loopback port, and stop it at the end of the block.

    Parameters
    ----------
    limits : Limits, optional
        Those of a small Lambda account; without them only memory limits concurrent functions.

    Raises
    ------
    RehearsalError
        MiniStack is not installed, or does not start.
    """
    if not PYTHON.exists():
        raise RehearsalError("MiniStack is not installed; `make rehearse` installs it")
    folder = Path(tempfile.mkdtemp(prefix="orderflow-rehearsal-"))
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    (folder / "clock").write_text("0")
    with (folder / "ministack.log").open("wb") as log:
        process = subprocess.Popen(
            [str(PYTHON), "-m", "ministack"],
            cwd=folder,
            env={**_environment(folder, url, port), **_limited(folder, limits)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    stack = MiniStack(url, folder, process)
    try:
        _await(stack)
        yield stack
    finally:
        _stop(process)
        shutil.rmtree(folder, ignore_errors=True)


def _environment(folder: Path, url: str, port: int) -> Mapping[str, str]:
    return {
        "PATH": os.defpath,
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "MINISTACK_HOST": "127.0.0.1",
        "AWS_ENDPOINT_URL": url,  # for the functions' clients
        "AWS_DEFAULT_REGION": REGION,
        "LAMBDA_ACCOUNT_CONCURRENCY": str(CONCURRENCY),
        "IOT_MTLS_ENABLED": "0",  # would listen on another port
        "SFTP_ENABLED": "0",
        "REHEARSAL_CLOCK": str(folder / "clock"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _limited(folder: Path, limits: Limits | None) -> Mapping[str, str]:
    if limits is None:
        return {}
    log = folder / _FAULT_LOG
    log.touch()
    faults = {"cold": limits.cold, "timeouts": limits.timeouts, "log": str(log)}
    return {"LAMBDA_ACCOUNT_CONCURRENCY": str(limits.concurrency), FAULTS: json.dumps(faults)}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _await(stack: MiniStack) -> None:
    deadline = time.monotonic() + _START
    while time.monotonic() < deadline and stack.process.poll() is None:
        with suppress(URLError, OSError), urlopen(f"{stack.url}/_ministack/health", timeout=1):  # noqa: S310
            return
        time.sleep(0.1)
    lines = stack.log.read_text(errors="replace").splitlines()[-5:]
    raise RehearsalError(f"MiniStack did not start: {' | '.join(lines) or 'its log is empty'}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Stop the process and its children, which are in its process group."""
    for kind, patience in ((signal.SIGTERM, _STOP), (signal.SIGKILL, 1.0)):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, kind)
        with suppress(subprocess.TimeoutExpired):
            process.wait(patience)
    if process.poll() is None:
        errors.print(f"MiniStack (process {process.pid}) does not stop")
