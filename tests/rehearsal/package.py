"""The functions' deployment package, and the program that runs them on MiniStack.

MiniStack's own Python runtime reports every exception as ``Runtime.HandlerError``, so that no
``ErrorEquals`` of a workflow would ever match. Its custom runtime speaks Lambda's Runtime API, and
there Lambda's own client for Python (``awslambdaric``) runs the very same handlers: a program named
``bootstrap`` in the package. Dependencies come from this project's environment, as a layer's would.
"""

import io
import zipfile
from pathlib import Path

from infra.local.platform import ROOT
from tests.rehearsal.ministack import PYTHON

SOURCES = ROOT / "services"

RUNTIME = "provided.al2023"

_LEFT_OUT = {".pyc", ".orig"}

_BOOTSTRAP = """#!{ours}
import os, sys, time
port = os.environ.get("GATEWAY_PORT", "4566")
os.environ.setdefault("AWS_ENDPOINT_URL", f"http://127.0.0.1:{{port}}")
sys.path.insert(0, os.environ["LAMBDA_TASK_ROOT"])
sys.path.append({theirs!r})
from awslambdaric.__main__ import main
from kernel import clock
ahead = os.environ.get("REHEARSAL_CLOCK", os.devnull)
def now():
    with open(ahead) as file:
        return time.time() + float(file.read() or 0)
clock.now = now
main(["bootstrap", os.environ["_HANDLER"]])
"""
"""The rehearsal moves the functions' clocks ahead by a number in a file."""


def package() -> bytes:
    """Return the ZIP file of all functions."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(SOURCES.rglob("*")):
            if path.is_file() and path.suffix not in _LEFT_OUT:
                archive.write(path, path.relative_to(SOURCES))
        program = zipfile.ZipInfo("bootstrap")
        program.external_attr = 0o755 << 16
        [theirs] = (PYTHON.parents[1] / "lib").glob("python3.*/site-packages")
        archive.writestr(program, _BOOTSTRAP.format(ours=_interpreter(), theirs=str(theirs)))
    return content.getvalue()


def _interpreter() -> Path:
    return ROOT / ".venv" / "bin" / "python"
