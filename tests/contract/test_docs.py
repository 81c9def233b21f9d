"""The documents and the code name the same paths, commands, options, targets and variables."""

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

from infra.cli.main import app
from infra.console.pages import PAGES

ROOT = Path(__file__).resolve().parents[2]

DOCUMENTS = [
    ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "tests/README.md")
] + sorted((ROOT / "docs").rglob("*.md"))
ARCHITECTURE = ROOT / "docs" / "architecture.md"

FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`\n]+(?:\n[^`\n]+)?)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")
PATH = re.compile(r"[\w.-]+(?:/[\w.*-]+)*/?")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
TARGET = re.compile(r"\bmake((?: [A-Z]+=\S+)*(?: [a-z][a-z-]*)+)((?: [A-Z]+=\S+)*)")
CALL = re.compile(r"(?:^|[ /`])orders (?=[a-z])([^|`]*)")
VARIABLE = re.compile(r"\bORDER(?:S|FLOW)_[A-Z_]+\b")
ROW = re.compile(r"^\| [^|]+\? \| `([^`]+)` \| `([^`]+)` \|$", re.MULTILINE)
TABLE = re.compile(r"create table (?:if not exists )?(\w+)")

EXAMPLES = {"services/orders/handlers/screen_order.py", "order_events/"}
"""Paths of the guides' examples, and of a data directory."""


@cache
def tracked() -> list[str]:
    """Return the paths that git tracks: a run leaves other folders in the working copy."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, check=True)
    return listed.stdout.decode().splitlines()


def text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def shell(path: Path) -> list[str]:
    """Return a document's shell commands without comments: fenced lines, and spans in backticks."""
    fenced = [
        line.partition("#")[0]
        for language, block in FENCE.findall(text(path))
        if language == "sh"
        for line in block.splitlines()
    ]
    return fenced + spans(path)


def spans(path: Path) -> list[str]:
    return [span.replace("\n", " ") for span in CODE.findall(FENCE.sub("", text(path)))]


@cache
def makefile() -> str:
    return text(ROOT / "Makefile")


@cache
def targets() -> Mapping[str, bool]:
    """Return the targets of the Makefile, and whether `make help` lists each."""
    found = re.findall(r"^([a-z][a-z-]*):(?!=)(.*)$", makefile(), re.MULTILINE)
    return {name: "## " in rest for name, rest in found}


@cache
def commands() -> Mapping[tuple[str, ...], frozenset[str]]:
    """Return the options of each command by its words, such as ("stock", "receive")."""
    found: dict[tuple[str, ...], frozenset[str]] = {}

    def walk(command: Any, words: tuple[str, ...]) -> None:
        if not hasattr(command, "list_commands"):
            options = {name for each in command.params for name in each.opts + each.secondary_opts}
            found[words] = frozenset(options)
            return
        for name in command.list_commands(None):
            walk(command.get_command(None, name), (*words, name))

    walk(typer.main.get_command(app), ())
    return found


def other_options() -> set[str]:
    """Return the options of the tests and of the generator of contracts."""
    sources = text(ROOT / "tests/conftest.py") + text(ROOT / "infra/contracts/schemas.py")
    crash = re.findall(r'\("(orders|kills|seed)", ', sources)
    return set(re.findall(r'"(--[a-z-]+)"', sources)) | {f"--crash-{name}" for name in crash}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_each_path_that_a_document_names_exists(document: Path) -> None:
    tops = {path.partition("/")[0] for path in tracked()}
    missing = []
    for span in spans(document):
        words = [word.partition("::")[0] for word in re.split(r"[\s,;()=]+", span)]
        for word in words:
            is_path = PATH.fullmatch(word) and "/" in word and word.partition("/")[0] in tops
            if is_path and word not in EXAMPLES and not any(ROOT.glob(word)):
                missing.append(word)
    for link in LINK.findall(text(document)):
        path = link.partition("#")[0]
        if "://" not in link and path and not (document.parent / path).exists():
            missing.append(link)
    assert missing == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_each_target_that_a_document_names_exists(document: Path) -> None:
    unknown = []
    for line in shell(document):
        for named, variables in TARGET.findall(line):
            unknown += [word for word in named.split() if "=" not in word and word not in targets()]
            unknown += [
                variable
                for variable in re.findall(r"([A-Z]+)=", named + variables)
                if f"$({variable})" not in makefile()
            ]
    assert unknown == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_each_command_and_option_that_a_document_names_exists(document: Path) -> None:
    unknown = []
    for line in shell(document):
        for call in CALL.findall(line):
            options = options_of(call.split())
            if options is None:
                unknown.append(f"orders {call}")
            else:
                unknown += [
                    f"orders {call}" for name in OPTION.findall(call) if name not in options
                ]
    assert unknown == []


def options_of(words: Sequence[str]) -> frozenset[str] | None:
    """Return the options of the command, or group, that these words begin with."""
    for length in (3, 2, 1):
        if tuple(words[:length]) in commands():
            return commands()[tuple(words[:length])]
    group = tuple(words)
    within = [options for name, options in commands().items() if name[: len(group)] == group]
    return frozenset().union(*within) if within else None


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_each_option_that_a_document_names_alone_exists(document: Path) -> None:
    known = {name for options in commands().values() for name in options} | other_options()
    alone = [span.split()[0] for span in spans(document) if span.startswith("--")]
    assert [name for name in alone if name not in known] == []


def hunks() -> Iterator[tuple[str, list[str], list[str]]]:
    """Yield the file of each hunk of the guides, and its lines before and after."""
    for language, block in FENCE.findall(text(ROOT / "CONTRIBUTING.md")):
        parts = re.split(r"^ # (\S+\.py)\n", block, flags=re.MULTILINE)
        for name, diff in zip(parts[1::2], parts[2::2], strict=True):
            assert language == "diff"
            for hunk in re.split(r"^@@\n", diff, flags=re.MULTILINE):
                lines = [line or " " for line in hunk.rstrip("\n").splitlines()]
                if lines:
                    before = [line[1:] for line in lines if line[0] != "+"]
                    yield name, before, [line[1:] for line in lines if line[0] != "-"]


def test_the_sources_with_the_diffs_of_the_guides_are_imported(tmp_path: Path) -> None:
    for folder in ("infra", "services"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=_ignored)
    changed = set()
    for name, before, after in hunks():
        changed.add(name)
        source = f"\n{text(tmp_path / name)}\n"
        old, new = ("\n".join(["", *lines, ""]) for lines in (before, after))
        assert source.count(old) == 1, (name, before)
        (tmp_path / name).write_text(source.replace(old, new)[1:-1], encoding="utf-8")
    modules = sorted(name.removesuffix(".py").replace("/", ".") for name in changed)
    assert len(modules) == 5
    paths = f"{tmp_path}{os.pathsep}{tmp_path / 'services'}"
    subprocess.run(
        [sys.executable, "-c", f"import {', '.join(modules)}"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": paths},
        check=True,
    )


_ignored = shutil.ignore_patterns("__pycache__", "static", "templates", "terraform")


def test_each_variable_that_a_document_names_is_read() -> None:
    named = {name for path in DOCUMENTS for name in VARIABLE.findall(text(path))}
    assert named == read_variables()


def read_variables() -> set[str]:
    """Return the platform's own environment variables: those that commands or tests read."""
    sources = [path for top in ("infra", "tests") for path in (ROOT / top).rglob("*.py")]
    return {
        name
        for path in sources
        if path != Path(__file__)
        for name in re.findall(r'"(ORDER(?:S|FLOW)_[A-Z_]+)"', text(path))
    }


def test_each_target_of_make_help_is_in_the_documents() -> None:
    documents = "\n".join(map(text, DOCUMENTS))
    listed = [name for name, is_listed in targets().items() if is_listed]
    assert [name for name in listed if not re.search(rf"make {name}\b(?!-)", documents)] == []


def test_each_command_is_in_the_readme() -> None:
    readme = text(ROOT / "README.md")
    absent = [" ".join(words) for words in commands() if f"orders {' '.join(words)}" not in readme]
    assert absent == []


def test_each_variable_of_an_option_is_in_the_readme() -> None:
    readme = text(ROOT / "README.md")
    sources = [text(path) for path in (ROOT / "infra").rglob("*.py")]
    named = {name for source in sources for name in re.findall(r'envvar="([A-Z_]+)"', source)}
    named |= {
        name for source in sources for name in re.findall(r'environ\.get\("([A-Z]+)"\)', source)
    }
    assert {name for name in named if name not in readme} == set()


def test_each_table_is_in_the_architecture() -> None:
    defined = {
        name
        for top in ("services", "infra/local", "infra/moving")
        for path in (ROOT / top).rglob("*.py")
        if path.name != "migrations.py"
        for name in TABLE.findall(text(path))
    }
    listed = text(ARCHITECTURE)
    assert {name for name in defined if f"`{name}`" not in listed} == set()


def test_the_file_of_a_table_defines_it() -> None:
    for line in text(ARCHITECTURE).splitlines():
        if re.match(r"\| `\w+\.db` \|", line):
            _, _, tables, files, _ = line.split("|")
            source = "".join(text(ROOT / name) for name in re.findall(r"`([^`]+)`", files))
            for name in re.findall(r"`([^`]+)`", tables):
                assert name in TABLE.findall(source), (name, files)


QUESTIONS = ROW.findall(text(ARCHITECTURE))


def test_the_architecture_answers_its_questions() -> None:
    assert len(QUESTIONS) == 28


@pytest.mark.parametrize(("file", "symbol"), QUESTIONS)
def test_an_answer_names_a_symbol_of_its_file(file: str, symbol: str) -> None:
    assert symbol in set(symbols(ast.parse(text(ROOT / file)).body))


def symbols(body: list[ast.stmt], prefix: str = "") -> Iterator[str]:
    """Yield the names that a module defines; a method's with its class's."""
    for node in body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield prefix + name
            case ast.ClassDef(name=name):
                yield name
                yield from symbols(node.body, f"{name}.")
            case ast.Assign(targets=[ast.Name(id=name)]):
                yield prefix + name
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield prefix + name


def test_each_page_of_the_console_has_its_key_in_the_document() -> None:
    document = text(ROOT / "docs" / "console.md")
    named = [f"`{page.key}` {page.title.lower()}" for page in PAGES if page.key]
    assert [words for words in named if words not in document] == []


def test_each_record_has_its_number_and_its_sections() -> None:
    folder = ROOT / "docs" / "decisions"
    records = sorted(folder.glob("0*.md"))
    assert [int(path.name[:4]) for path in records] == list(range(1, len(records) + 1))
    index = text(folder / "README.md")
    for path in records:
        title = text(path).splitlines()[0].removeprefix(f"# {int(path.name[:4])}. ")
        row = rf"^\| \[{path.name[:4]}\]\({re.escape(path.name)}\) \|.*\| {re.escape(title)} \|$"
        assert re.search(row, index, re.MULTILINE), path.name
        for section in ("Context", "Decision", "Alternatives? refused"):
            assert re.search(rf"^## {section}$", text(path), re.MULTILINE), (path.name, section)
    for document in [*DOCUMENTS, *folder.glob("*.md")]:
        for number, file in re.findall(r"\[(\d{4})\]\([^)]*?(\d{4}-[a-z-]+\.md)", text(document)):
            assert file.startswith(number), f"{document.name}: [{number}]({file})"
