"""Mutations of the changes in docs/aws.md's findings, each with a test that has to fail."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import yaml

from infra.local.template.project import ROOT

DOCUMENT = ROOT / "docs" / "aws.md"

COPIED = (
    *("services", "infra", "tests", "workflows", "events_schema", "docs"),
    *("template.yaml", "samconfig.toml", "pyproject.toml", "Makefile", "CHANGELOG.md"),
    *sorted(path.name for path in ROOT.glob("requirements*.lock")),
    *("README.md", "Dockerfile"),
    *("docker-compose.yml", ".checkov.yaml", "LICENSE", "CONTRIBUTING.md", "SECURITY.md"),
)
"""The parts of the source tree that tests read."""

PATIENCE = 300
"""Maximum seconds of a test of a mutation."""

_TEST = re.compile(r"`(tests/[^`]+\.py)`")


class Mutation(NamedTuple):
    """A replaced text of a file, and the test that has to fail then.

    ``finding`` is the beginning of a row; ``after`` is text before the replaced one, if that alone
    is not unique. ``test`` is a file, or a file and one of its tests.
    """

    finding: str
    file: str
    old: str
    new: str
    test: str
    after: str = ""

    def is_of(self, finding: str) -> bool:
        """Return whether this is a mutation of a row's finding."""
        rest = finding.removeprefix(self.finding)
        return rest != finding and not rest[:1].isalnum()

    @property
    def test_file(self) -> str:
        """The file of the test."""
        return self.test.partition("::")[0]

    def applied(self, text: str) -> str:
        """Return the mutated text of the file; raise `ValueError` if the place is not unique."""
        start = text.find(self.after)
        rest = text[start:]
        if start < 0 or (not self.after and rest.count(self.old) != 1) or self.old not in rest:
            raise ValueError(f"{self.file} does not have, once: {self.old!r}")
        return text[:start] + rest.replace(self.old, self.new, 1)


def mutations() -> list[Mutation]:
    """Return the mutations of ``findings.yaml``."""
    text = Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8")
    return [Mutation(**entry) for entry in yaml.safe_load(text)]


def rows() -> dict[str, set[str]]:
    """Return the tests that each finding's row names, by the finding."""
    _, _, section = DOCUMENT.read_text(encoding="utf-8").partition("## Findings")
    table = [line for line in section.partition("\n## ")[0].splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table[1:]]
    return {row[0]: set(_TEST.findall(row[2])) for row in cells}


def copy_sources(folder: Path) -> None:
    """Copy the parts of the source tree that tests read."""
    ignored = shutil.ignore_patterns("__pycache__", "*.pyc", ".orderflow")
    for name in COPIED:
        source, target = ROOT / name, folder / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=ignored)
        else:
            shutil.copy(source, target)


def is_detected(mutation: Mutation, folder: Path) -> bool:
    """Return whether the test fails in a copy of the sources with the mutation."""
    path = folder / mutation.file
    text = path.read_text(encoding="utf-8")
    path.write_text(mutation.applied(text), encoding="utf-8")
    try:
        return status_of(mutation.test, folder) == 1
    finally:
        path.write_text(text, encoding="utf-8")


def status_of(test: str, folder: Path) -> int:
    """Return pytest's exit status of a test: 1 if a test fails."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", test],
        cwd=folder,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    return done.returncode
