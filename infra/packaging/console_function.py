"""Import the built function of the console as Lambda does: with its folder, the layer, the runtime.

The wheels are built for another machine, perhaps. So this interpreter's packages stand for those
that have compiled modules; the locks give them the same versions.
"""

import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

import yaml

from infra.packaging.definitions import BUILD, TEMPLATE

FUNCTION, LAYER = "ConsoleFunction", "DependenciesLayer"

RUNTIME = ("boto3", "botocore", "dateutil", "jmespath", "s3transfer", "six", "urllib3")
"""Packages of Lambda's Python runtimes (Lambda, "Python runtimes": the SDK and what it needs)."""

PROGRAM = """
import importlib, sys
from importlib.machinery import PathFinder

here, names, folders, handler = sys.argv[1], sys.argv[2].split(), sys.argv[3:-1], sys.argv[-1]

class Ours:
    @staticmethod
    def find_spec(name, path=None, target=None):
        return PathFinder.find_spec(name, [here]) if path is None and name in names else None

sys.dont_write_bytecode = True
sys.path[:0] = folders
sys.meta_path.insert(0, Ours)
module, _, function = handler.rpartition(".")
assert callable(getattr(importlib.import_module(module), function)), "the handler is no function"

from infra.console import rendering
from infra.console.stack import pages, readers, source
from infra.local.stack_loader import shipped
from infra.queries.pack import queries
from infra.views.contract_catalogue import catalogue

assert (rendering.STATIC / "console.css").is_file(), "there is no console.css"
templates = rendering.environment()
for name in templates.list_templates():
    templates.get_template(name)
assert templates.list_templates() and queries() and catalogue() and pages.PAGES
assert shipped().state_machines
"""


def problem(build: Path, handler: str) -> str | None:
    """Return why Lambda cannot import the handler, or None."""
    folders = [build / FUNCTION, build / LAYER / "python"]
    ours = " ".join(sorted({*RUNTIME, *compiled(folders)}))
    places = [str(folder.resolve()) for folder in folders]
    site = sysconfig.get_path("purelib")
    command = [sys.executable, "-I", "-S", "-c", PROGRAM, site, ours, *places, handler]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    return None if done.returncode == 0 else done.stderr.strip()


def compiled(folders: Sequence[Path]) -> set[str]:
    """Return the packages with modules that are compiled for one machine."""
    return {
        path.relative_to(folder).parts[0].partition(".")[0]
        for folder in folders
        for path in folder.rglob("*.so")
    }


def main() -> int:
    """Print the problem of `BUILD`; 1 if there is one."""
    template = yaml.safe_load((BUILD / TEMPLATE).read_text("utf-8"))
    handler = template["Resources"][FUNCTION]["Properties"]["Handler"]
    found = problem(BUILD, handler)
    if found is not None:
        print(f"{FUNCTION}: {handler} cannot be imported as in Lambda: {found}")  # noqa: T201
    return int(found is not None)


if __name__ == "__main__":
    sys.exit(main())
