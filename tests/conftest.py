"""The options of the tests, the slow tests, and the cases and the summary of the conformance tests.

A conformance test takes the argument `case` and names the files of its cases with a marker:

    @pytest.mark.vectors("event_patterns.jsonl", category="event_patterns")
    def test_rule(case): ...


    @pytest.mark.vectors("states.jsonl", "states_masked.jsonl")
    def test_machine(case): ...

`case` is one line of those files, a dict. The test's id is the case's name. Its category is the
marker's, else the case's own up to a slash, else the file's name. If a file is absent, the test is
skipped once. Any other test joins the summary with `@pytest.mark.category("name")`.
"""

from collections import Counter
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from kernel import clock
from tests.conformance.vectors import load_vectors, vectors_directory
from tests.fakes import read_once

DEFAULT_VECTORS = Path(__file__).parents[1] / "../shared/conformance"
SLOW = {
    "test_artefact.py",  # lints the built template
    "test_contracts.py",  # writes the generated folder several times
    "test_daily_report.py",  # DuckDB
    "test_duckdb_warehouse.py",
    "test_event_streams.py",  # files of some megabytes
    "test_exact_json.py",
    "test_expression_cost.py",
    "test_flatten_properties.py",
    "test_imports.py",  # an interpreter for each handler
    "test_interpreter_properties.py",
    "test_json_text.py",
    "test_jsonata.py",  # expressions that run out of time
    "test_logs.py",
    "test_matching_lists.py",  # brute force
    "test_output.py",
    "test_pattern_reading.py",  # 6,000 random patterns
    *(
        f"test_{name}_properties.py"
        for name in ("events", "expressions", "patterns", "redrive", "requests")
    ),
}
"""Files of pure tests that `make test-fast` leaves out: together three quarters of the time."""

LONG = {
    "fuzz",
    "simulation",
    "test_crash.py",
    "test_cut_operations.py",
    "test_disk.py",
    "test_exports.py",
    "test_figures.py",
    "test_hot_items.py",
    "test_letter_groups.py",
    "test_letter_job_commands.py",
    "test_northwind.py",
    "test_openapi_requests.py",
    "test_operating_page.py",
    "test_otlp.py",
    "test_outside_text.py",
    "test_replay.py",
    "test_small_account.py",
    "test_view_commands.py",
}
"""Folders and files of `make test-long`, which `make test` leaves out: each takes many seconds.

Single tests have the marker `long`.
"""


@pytest.fixture(autouse=True)
def _computers_clock() -> Iterator[None]:
    """Begin each test with the computer's time: a function that runs in this process shifts it."""
    clock.shift(0.0)
    yield
    clock.shift(0.0)


ABSENT = pytest.StashKey[list[str]]()
COUNTED_AS = {
    "passed": "passed",
    "failed": "failed",
    "error": "failed",
    "skipped": "skipped",
    "xfailed": "skipped",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--vectors",
        metavar="DIR",
        default=str(DEFAULT_VECTORS),
        help="directory of the conformance cases (default: ../shared/conformance)",
    )
    parser.addoption(
        "--examples",
        metavar="N",
        type=int,
        default=50,
        help="tests/fuzz: examples of each input; 50 (the default) are the same at every run",
    )
    for name, default, meaning in (
        ("orders", 300, "number of orders"),
        ("kills", 5, "number of kills of the server"),
        ("seed", 1, "seed of the orders and of the moments of the kills"),
    ):
        parser.addoption(
            f"--crash-{name}",
            metavar="N",
            type=int,
            default=default,
            help=f"test_crash.py: {meaning} (default: {default})",
        )

    for option, default, meaning in (
        ("--account-orders", 100, "number of orders"),
        ("--account-seed", 7, "seed of the orders"),
    ):
        parser.addoption(
            option,
            metavar="N",
            type=int,
            default=default,
            help=f"test_small_account.py: {meaning} (default: {default})",
        )

    parser.addoption(
        "--all-mutations",
        action="store_true",
        help="also the mutations that need more than 200 seeds",
    )
    parser.addoption(
        "--findings",
        metavar="N",
        type=int,
        default=0,
        help="tests/mutations: number of mutations of docs/aws.md's findings (default: 0)",
    )
    parser.addoption(
        "--exports",
        metavar="N",
        type=int,
        default=3,
        help="test_exports.py: exports during a burst (default: 3)",
    )


@pytest.fixture(scope="session", autouse=True)
def _documents_are_parsed_once() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for module in read_once.PLACES:
            patch.setattr(module, "read_yaml", read_once.read_yaml)
        yield


def pytest_configure(config: pytest.Config) -> None:
    config.stash[ABSENT] = []
    for marker in (
        "slow: left out of `make test-fast`",
        "long: left out of `make test`; `make test-long` runs them",
        "vectors(*files, category=None): run the test once for each case of these files",
        "category(name): count the test under this name in the conformance summary",
    ):
        config.addinivalue_line("markers", marker)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    marker = metafunc.definition.get_closest_marker("vectors")
    if marker is not None:
        cases = _cases(metafunc.config, marker.args, marker.kwargs.get("category"))
        metafunc.parametrize("case", list(cases))


def _cases(config: pytest.Config, files: tuple[str, ...], category: str | None) -> Iterator[object]:
    directory = vectors_directory(config)
    absent = [name for name in files if not (directory / name).is_file()]
    if absent:
        reason = f"no {' nor '.join(absent)} in {directory} (--vectors)"
        config.stash[ABSENT].append(reason)
        yield pytest.param({}, id="absent", marks=pytest.mark.skip(reason=reason))
        return
    for name in files:
        for case in load_vectors(directory, name):
            own = case.get("category", Path(name).stem)
            counted = pytest.mark.category(category or own.partition("/")[0])
            yield pytest.param(case, id=case["name"], marks=counted)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out long files in `make test`, and the mutations of findings unless some are wanted."""
    if collection_path.name == "mutations":
        return not config.getoption("--findings") or None
    return (collection_path.name in LONG and config.option.markexpr == "not long") or None


def pytest_itemcollected(item: pytest.Item) -> None:
    if item.path.name in SLOW:
        item.add_marker("slow")
    if LONG & {item.path.parent.name, item.path.name}:
        item.add_marker("long")
    marker = item.get_closest_marker("category")
    if marker is not None:
        # Reports carry a test's properties, not its markers.
        item.user_properties.append(("category", marker.args[0]))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> Generator[None, None, None]:
    yield
    counts: dict[str, Counter[str]] = {}
    for outcome, counted_as in COUNTED_AS.items():
        for report in terminalreporter.getreports(outcome):
            category = dict(getattr(report, "user_properties", ())).get("category")
            if category is not None:
                counts.setdefault(str(category), Counter())[counted_as] += 1
    absent = config.stash[ABSENT]
    if counts or absent:
        terminalreporter.section("conformance")
    for reason in absent:
        terminalreporter.line(f"skipped: {reason}")
    for category, count in sorted(counts.items()):
        terminalreporter.line(_count_line(category, count))
    if counts:
        terminalreporter.line(_count_line("total", sum(counts.values(), Counter())))


def _count_line(name: str, count: Counter[str]) -> str:
    return f"{name}: {count['passed']} passed, {count['failed']} failed, {count['skipped']} skipped"
