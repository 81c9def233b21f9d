"""Deeply nested input crashes no process: the recursion limit is below each thread's stack."""

import re
import subprocess
import sys

import pytest

from infra.local.template.project import TEMPLATE

ROOT = TEMPLATE.parent
STACK = 8_192
"""KiB of a thread's stack."""

STARTS_THREADS = re.compile(r"\b(?:Thread|ThreadPoolExecutor)\(")
MODULES = sorted(
    ".".join(path.relative_to(root).with_suffix("").parts)
    for root, folder in ((ROOT, "infra"), (ROOT / "services", "."))
    for path in (root / folder).rglob("*.py")
    if STARTS_THREADS.search(path.read_text(encoding="utf-8"))
)


def python(limit: str, *arguments: str) -> str:
    """Return the output of Python under a stack limit, as ``ulimit`` sets it."""
    shell = f'ulimit {limit} 2>/dev/null || exit 77; exec "$0" "$@"'
    done = subprocess.run(
        ["sh", "-c", shell, sys.executable, *arguments],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if done.returncode == 77:
        pytest.skip(f"this machine does not allow ulimit {limit}")
    assert done.returncode == 0, f"{done.returncode} after {done.stdout[-40:]}{done.stderr[-400:]}"
    return done.stdout


@pytest.mark.long
@pytest.mark.parametrize(
    ("where", "limit"), [("main", "-S -s 1024"), ("thread", "-S -s unlimited")]
)
def test_the_deepest_accepted_input_crashes_no_process(where: str, limit: str) -> None:
    assert python(limit, "-m", "tests.fakes.deepest", where).endswith("done\n")


def test_pythons_own_recursion_limit_stays_if_the_host_refuses_the_stack_size() -> None:
    program = "import kernel.json_text, sys; print(sys.getrecursionlimit())"
    assert python("-s 1024", "-c", program) == "1000\n"


def test_threads_are_started_somewhere() -> None:
    assert {"infra.server.server", "infra.local.engine.engine"} <= {*MODULES}


@pytest.mark.parametrize("module", MODULES)
def test_a_module_that_starts_threads_sets_their_stack_size(module: str) -> None:
    program = f"import {module}, threading; print(threading.stack_size() // 1024)"
    assert python("-S -s 1024", "-c", program) == f"{STACK}\n"
