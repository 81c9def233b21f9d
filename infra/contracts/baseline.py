"""The released contracts, and the compatibility check of the present ones."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.contracts.compatibility import compare
from infra.contracts.folder import BASELINE, FOLDER, slug
from infra.contracts.json_schema import envelope_schema
from kernel.events import CONTRACTS

MODELS = "services/kernel/events.py"


@dataclass(frozen=True, slots=True)
class Contract:
    """A version of an event's contract."""

    version: str
    schema: Mapping[str, Any]

    @property
    def numbers(self) -> tuple[int, int]:
        """Major and minor version."""
        major, minor = self.version.split(".")
        return int(major), int(minor)


def present() -> dict[str, Contract]:
    """Return the contracts of the models by detail type."""
    return {
        name: Contract(contract.version, envelope_schema(name))
        for name, contract in CONTRACTS.items()
    }


def released(folder: Path = FOLDER) -> dict[str, Contract]:
    """Return the contracts of the last release; none before the first release."""
    path = folder / BASELINE
    if not path.is_file():
        return {}
    content = json.loads(path.read_text(encoding="utf-8"))
    return {name: Contract(entry["version"], entry["schema"]) for name, entry in content.items()}


def snapshot(contracts: Mapping[str, Contract]) -> dict[str, Any]:
    """Return the content of ``baseline.json``."""
    return {
        name: {"version": contract.version, "schema": contract.schema}
        for name, contract in contracts.items()
    }


def problems(old: Mapping[str, Contract], new: Mapping[str, Contract]) -> list[str]:
    """Return a sentence for each event that changed without the necessary version."""
    removed = [
        f"{name} is removed, but others send or read it: restore it in {MODELS}"
        for name in old
        if name not in new
    ]
    sentences = (_problem(name, old[name], new[name]) for name in old if name in new)
    return removed + [problem for problem in sentences if problem]


def broken(old: Mapping[str, Contract], new: Mapping[str, Contract]) -> list[str]:
    """Return the events that break their users: removed, or changed within their major version."""
    return [
        name
        for name, contract in old.items()
        if name not in new
        or (
            any(change.breaks(name) for change in compare(contract.schema, new[name].schema))
            and new[name].numbers[0] <= contract.numbers[0]
        )
    ]


def _problem(name: str, old: Contract, new: Contract) -> str | None:
    changes = compare(old.schema, new.schema)
    breaking = [str(change) for change in changes if change.breaks(name)]
    major, minor = old.numbers
    class_name = CONTRACTS[name].__name__ if name in CONTRACTS else name.replace(" ", "")
    changelog = f"events_schema/{slug(name)}/CHANGELOG.md"
    if breaking and new.numbers[0] <= major:
        return (
            f"{name}: {'; '.join(breaking)}. That breaks users of {major}.x."
            f' Undo it, or set version = "{major + 1}.0" in {class_name} ({MODELS}),'
            f" describe it in {changelog}, and run: make schemas"
        )
    if new.numbers < old.numbers:
        return f"{name}: version {new.version} is older than {old.version}, the released version"
    if changes and new.numbers == old.numbers:
        return (
            f"{name}: {'; '.join(map(str, changes))}. Nothing breaks, but {old.version} is released"
            f' without it: set version = "{major}.{minor + 1}" in {class_name} ({MODELS}),'
            f" describe it in {changelog}, and run: make schemas"
        )
    return None
