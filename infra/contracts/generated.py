"""The generated files of ``events_schema/``: their expected and their present content."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infra.contracts.asyncapi import asyncapi
from infra.contracts.baseline import present, snapshot
from infra.contracts.catalogue import stock_file
from infra.contracts.changelog import first_changelog, releases
from infra.contracts.folder import (
    ASYNCAPI,
    BASELINE,
    CHANGELOG,
    CLIENT,
    EXAMPLES,
    INDEX,
    INVALID,
    OPENAPI,
    PARTICIPANTS,
    REGISTRY_SCHEMA,
    SCHEMA,
    STOCK,
    slug,
)
from infra.contracts.index_page import index_page
from infra.contracts.invalid_examples import invalid_examples
from infra.contracts.openapi import openapi
from infra.contracts.participants import participants
from infra.contracts.registry import registry_schema
from infra.contracts.sample_orders import examples
from kernel.events import REQUESTS

Files = dict[str, str]


def generated(folder: Path) -> Files:
    """Return the text of every generated file by its path in the folder.

    Changelogs are edited by hand: the index page shows them, and they are never overwritten.
    """
    contracts = present()
    files: Files = {
        ASYNCAPI: _json(asyncapi()),
        OPENAPI: _json(openapi()),
        STOCK: stock_file(),
        PARTICIPANTS: _json({name: each.to_json() for name, each in participants().items()}),
    }
    history = {}
    for name, contract in contracts.items():
        schema = {**contract.schema, "examples": [examples()[name][0].envelope]}
        files[f"{slug(name)}/{SCHEMA}"] = _json(schema)
        if name in REQUESTS:
            files[f"{CLIENT}/contracts/{slug(name)}/{SCHEMA}"] = _json(contract.schema)
        files[f"{slug(name)}/{REGISTRY_SCHEMA}"] = _json(registry_schema(name))
        for example in examples()[name]:
            files[f"{slug(name)}/{EXAMPLES}/{example.name}.json"] = _json(example.envelope)
        invalid = [example.to_json() for example in invalid_examples(name)]
        files[f"{slug(name)}/{INVALID}"] = _json(invalid)
        history[name] = releases(_changelog(folder, name, contract.version))
    files[INDEX] = index_page(history)
    return files


def differing(folder: Path) -> Files:
    """Return the problem of each file that differs from its expected content, by path."""
    wanted = generated(folder)
    problems = {
        path: "is missing" if not (folder / path).is_file() else "differs from the models"
        for path, text in wanted.items()
        if _read(folder / path) != text
    }
    for path, _ in _missing_changelogs(folder):
        problems[path] = "is missing"
    for stale in _stale(folder, wanted):
        problems[stale] = "belongs to no event"
    return dict(sorted(problems.items()))


def write(folder: Path) -> list[str]:
    """Write all files that differ; return their paths."""
    for path, text in _missing_changelogs(folder):
        _write(folder / path, text)
    changed = differing(folder)
    wanted = generated(folder)
    for path in changed:
        if path in wanted:
            _write(folder / path, wanted[path])
        else:
            (folder / path).unlink()
    return list(changed)


def release(folder: Path) -> None:
    """Write the present contracts as the released ones."""
    _write(folder / BASELINE, _json(snapshot(present())))


def _missing_changelogs(folder: Path) -> list[tuple[str, str]]:
    return [
        (f"{slug(name)}/{CHANGELOG}", first_changelog(name, contract.version))
        for name, contract in present().items()
        if not (folder / slug(name) / CHANGELOG).is_file()
    ]


def _changelog(folder: Path, name: str, version: str) -> str:
    return _read(folder / slug(name) / CHANGELOG) or first_changelog(name, version)


def _stale(folder: Path, wanted: Mapping[str, str]) -> list[str]:
    """Return generated files of removed examples and events."""
    there = [
        path.relative_to(folder).as_posix()
        for pattern in (
            *(f"*/{EXAMPLES}/*.json", f"*/{SCHEMA}"),
            *(f"*/{REGISTRY_SCHEMA}", f"*/{INVALID}"),
        )
        for path in folder.glob(pattern)
    ]
    return [path for path in there if path not in wanted]


def _json(content: Any) -> str:
    return json.dumps(content, ensure_ascii=False, indent=2) + "\n"


def _read(path: Path) -> str | None:
    # bytes, because text mode hides other line ends
    return path.read_bytes().decode(errors="replace") if path.is_file() else None


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")
