"""The functions' deployment package, and the program that runs them on MiniStack.

MiniStack's Python runtime reports every exception as ``Runtime.HandlerError``, which matches no
``ErrorEquals`` of a workflow. Its custom runtime implements Lambda's Runtime API, so a program
``bootstrap`` in the package runs the same handlers with Lambda's own Python client
(``awslambdaric``). Dependencies come from this project's environment instead of a layer.
"""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

from infra.local.template.project import ROOT
from infra.packaging.console_function import compiled
from tests.rehearsal.ministack import FAULTS, PYTHON

SOURCES = ROOT / "services"

RUNTIME = "provided.al2023"

_EXCLUDED = {".pyc", ".orig"}

_FAULTS = Path(__file__).with_name("faulty_handler.py")

_BOOTSTRAP = """#!{ours}
import os, sys, time
sys.path[:] = [place for place in sys.path if place not in {project!r}]
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
handler = os.environ["_HANDLER"]
if os.environ.get({faults!r}):
    import faulty_handler
    handler = faulty_handler.install(handler, os.environ[{faults!r}])
main(["bootstrap", handler])
"""
"""The program; a file has the number of seconds by which the functions' clocks are ahead."""


def package() -> bytes:
    """Return the ZIP file of all functions but the console's."""
    return _zipped(SOURCES, SOURCES.rglob("*"))


def console_package(built: Path) -> bytes:
    """Return the ZIP file of the console's function, from its folder of `make build`.

    The packages with compiled modules are those of this project's environment: the built ones are
    for Lambda's Python and processor.
    """
    ours = compiled([built])
    parts = (part for part in built.iterdir() if part.name.partition(".")[0] not in ours)
    return _zipped(built, (path for part in parts for path in (part, *part.rglob("*"))))


def _zipped(folder: Path, paths: Iterator[Path]) -> bytes:
    """Return a ZIP file of some files of a folder, with the program that runs them."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(paths):
            if path.is_file() and path.suffix not in _EXCLUDED:
                archive.write(path, path.relative_to(folder))
        archive.write(_FAULTS, _FAULTS.name)
        program = zipfile.ZipInfo("bootstrap")
        program.external_attr = 0o755 << 16
        [theirs] = (PYTHON.parents[1] / "lib").glob("python3.*/site-packages")
        text = _BOOTSTRAP.format(
            ours=_interpreter(),
            theirs=str(theirs),
            faults=FAULTS,
            project=(str(ROOT), str(SOURCES)),
        )
        archive.writestr(program, text)
    return content.getvalue()


def _interpreter() -> Path:
    return ROOT / ".venv" / "bin" / "python"
