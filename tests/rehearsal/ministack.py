"""MiniStack, the emulator, as a process of its own on a free port of this machine."""

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

from infra.local.platform import ROOT
from infra.local.template.loader import REGION
from infra.terminal.output import errors

PYTHON = ROOT / ".venv-ministack" / "bin" / "python"

CONCURRENCY = 12
"""Functions that run at once: it keeps a process for each."""

_START, _STOP = 30.0, 5.0
"""Seconds until it must answer, and until it is killed."""


class RehearsalError(Exception):
    """The rehearsal cannot go on; the message says why and what to do."""


class Endpoint:
    """Where AWS's services answer; any credentials are taken."""

    def __init__(self, url: str) -> None:
        self.url = url

    def client(self, service: str) -> Any:
        """Return a client of a service, as its users have it."""
        return client(service, self.url)

    def errors(self) -> list[str]:
        """Return what it says went wrong with a stack, where that is to be had."""
        return []


class MiniStack(Endpoint):
    """A MiniStack of our own."""

    def __init__(self, url: str, folder: Path, process: subprocess.Popen[bytes]) -> None:
        super().__init__(url)
        self.folder = folder
        self.process = process

    @property
    def log(self) -> Path:
        """What it says."""
        return self.folder / "ministack.log"

    @property
    def clock(self) -> Path:
        """How many seconds the functions' clocks are ahead."""
        return self.folder / "clock"

    def errors(self) -> list[str]:
        """Return what its log says went wrong with a stack: its events give no reason."""
        lines = self.log.read_text(errors="replace").splitlines()
        return [line.partition("] ")[2] for line in lines if " ERROR [cloudformation] " in line]

    def configure(self, **settings: object) -> None:
        """Change MiniStack's own settings of Step Functions."""
        body = {f"stepfunctions.{name}": value for name, value in settings.items()}
        request = Request(  # noqa: S310 - the URL is ours
            f"{self.url}/_ministack/config",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        with urlopen(request, timeout=10) as answer:  # noqa: S310
            applied = json.load(answer)["applied"]
        if applied.keys() != body.keys():
            raise RehearsalError(f"MiniStack took {sorted(applied)} of {sorted(body)}")

    def megabytes(self) -> float:
        """Return the memory that it and the functions' processes have."""
        pages = os.sysconf("SC_PAGE_SIZE")
        total = 0
        for entry in Path("/proc").glob("[0-9]*/statm"):
            with suppress(OSError):  # it has just ended
                if os.getpgid(int(entry.parent.name)) == self.process.pid:
                    total += int(entry.read_text().split()[1]) * pages
        return total / 2**20


def client(service: str, url: str) -> Any:
    """Return a boto3 client of an endpoint that takes any credentials."""
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
def ministack() -> Iterator[MiniStack]:
    """Start MiniStack on a free port of the loopback; it ends with the block, whatever happens.

    Raises
    ------
    RehearsalError
        It is not installed, or does not start.
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
            env=_environment(folder, url, port),
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
        "IOT_MTLS_ENABLED": "0",  # it would listen on a port of its own
        "SFTP_ENABLED": "0",
        "REHEARSAL_CLOCK": str(folder / "clock"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


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
    said = stack.log.read_text(errors="replace").splitlines()[-5:]
    raise RehearsalError(f"MiniStack did not start: {' | '.join(said) or 'it said nothing'}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the process and those that it started, which are in its group."""
    for kind, patience in ((signal.SIGTERM, _STOP), (signal.SIGKILL, 1.0)):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, kind)
        with suppress(subprocess.TimeoutExpired):
            process.wait(patience)
    if process.poll() is None:
        errors.print(f"MiniStack (process {process.pid}) does not end")
