"""Reads the files of what AWS itself answered (JSON lines) that the conformance tests run."""

import json
from pathlib import Path
from typing import Any

import pytest


def vectors_directory(config: pytest.Config) -> Path:
    """The directory that --vectors names."""
    return Path(config.getoption("--vectors")).resolve()


def load_vectors(source: pytest.Config | Path, filename: str) -> list[dict[str, Any]]:
    """The cases of one file, in its order.

    `source` is a directory, or pytest's configuration, whose --vectors names it.
    Raises FileNotFoundError.
    """
    directory = source if isinstance(source, Path) else vectors_directory(source)
    with (directory / filename).open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]
