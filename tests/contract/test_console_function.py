"""The console's function on AWS: its build has the imports of the console of a stack, no others."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grimp
import pytest

from infra.packaging.console_function import RUNTIME, problem
from infra.queries.athena import TEMPLATE

ROOT = TEMPLATE.parent
FOLDER = ROOT / "infra/console/hosted"
PACKAGES = tuple(
    path.name for path in [ROOT / "infra", *(ROOT / "services").iterdir()] if path.is_dir()
)
ROOTS = ("infra.console.console", "infra.console.stack", "infra.console.hosted")

ABSENT = {
    "duckdb": "SQL of one machine; Athena answers the queries of a stack",
    "sqlglot": "as DuckDB",
    "zstandard": "histories of one machine; Step Functions keeps those of a stack",
}
"""Packages that only pages of one machine import, when they are called."""

MODULES = {"pyyaml": "yaml"}
"""Packages whose module has another name."""


def listed(name: str) -> set[str]:
    """Return the words of a variable of the function's Makefile."""
    text = (FOLDER / "Makefile").read_text(encoding="utf-8")
    found = re.search(rf"^{name} := (.*)$", text, re.MULTILINE)
    assert found, name
    return {word.removesuffix(".py") for word in found[1].split()}


def pins(lock: str) -> set[str]:
    """Return the packages of a lock, as they are imported."""
    names = re.findall(r"^([a-z0-9-]+)==", (ROOT / lock).read_text(encoding="utf-8"), re.MULTILINE)
    modules = [name.replace("-", "_") for name in names]
    return {MODULES.get(name, name) for name in modules}


@pytest.fixture(scope="module")
def imported() -> set[str]:
    """Return the modules that the function imports at any time, packages of others with them."""
    graph = grimp.build_graph(*PACKAGES, include_external_packages=True, cache_dir=None)
    waiting = [
        module
        for module in graph.modules
        if any(f"{module}.".startswith(f"{root}.") for root in ROOTS)
    ]
    seen = set(waiting)
    while waiting:
        for module in graph.find_modules_directly_imported_by(waiting.pop()):
            new = {module, *_packages_of(module)} & graph.modules - seen
            seen |= new
            waiting += new
    return seen


def _packages_of(module: str) -> Iterator[str]:
    while "." in module:
        module = module.rpartition(".")[0]
        yield module


def test_the_build_copies_what_the_function_imports_and_no_more(imported: set[str]) -> None:
    infra = {name.split(".")[1] for name in imported if name.startswith("infra.")} - {"local"}
    assert infra | {"__init__"} == listed("INFRA")
    local = {name.split(".")[2] for name in imported if name.startswith("infra.local.")}
    assert local | {"__init__"} == listed("LOCAL")
    assert {name for name in imported if name in PACKAGES} - {"infra"} == listed("SERVICES")


def test_the_function_takes_or_has_each_package_of_others(imported: set[str]) -> None:
    others = {name for name in imported if "." not in name and name not in PACKAGES}
    own = pins("infra/console/hosted/requirements.txt")
    given = pins("infra/layer/requirements.txt") | {*RUNTIME} | sys.stdlib_module_names
    assert others - own - given == set(ABSENT)
    assert own - others <= {"anyio", "idna", "mangum"}  # Starlette's, and that of the handler


def test_both_locks_have_one_version_of_a_package() -> None:
    lines = {
        lock: set(re.findall(r"^[a-z0-9-]+==\S+", (ROOT / lock).read_text(), re.MULTILINE))
        for lock in ("requirements-dev.lock", "infra/console/hosted/requirements.txt")
    }
    assert lines["infra/console/hosted/requirements.txt"] <= lines["requirements-dev.lock"]


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a build folder with the project's part of the function, without packages."""
    target: Path = tmp_path_factory.mktemp("build") / "ConsoleFunction"
    target.mkdir()
    given = {
        "ARTIFACTS_DIR": str(target),
        "PROJECT": str(ROOT),
        "PYTHON": "true",
        "RUNTIME": "none",
    }
    variables = [f"{name}={value}" for name, value in given.items()]
    subprocess.run(
        ["make", "-s", "-C", str(FOLDER), "build-ConsoleFunction", *variables],
        check=True,
        capture_output=True,
    )
    return target.parent


def test_the_build_has_no_tests_caches_or_files_of_the_build(build: Path) -> None:
    copied = [path.relative_to(build) for path in build.rglob("*") if path.is_file()]
    assert len(copied) > 300
    names = {part for path in copied for part in path.parts}
    assert not names & {"__pycache__", "tests", ".venv", "engine", "workers", "clients", "Makefile"}
    assert not [path for path in copied if path.suffix == ".pyc" or path.name.startswith("test_")]


def test_a_build_without_the_project_says_the_way_out(tmp_path: Path) -> None:
    done = subprocess.run(
        ["make", "-s", "-C", str(FOLDER), "build-ConsoleFunction", "PROJECT=", "ARTIFACTS_DIR=x"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert "run `make build`" in done.stderr


def test_the_check_names_the_module_that_the_build_lacks(build: Path) -> None:
    found = problem(build, "infra.console.mount.mounted")
    assert found is not None
    assert "ModuleNotFoundError: No module named 'infra.local.engine'" in found
