"""The files of AWS's own answers (JSON lines) for the conformance tests."""

import json
from pathlib import Path
from typing import Any

import pytest


def vectors_directory(config: pytest.Config) -> Path:
    """Return the directory of ``--vectors``."""
    return Path(config.getoption("--vectors")).resolve()


def load_vectors(source: pytest.Config | Path, filename: str) -> list[dict[str, Any]]:
    """Return the cases of one file in their order; raise FileNotFoundError if it is missing.

    ``source`` is a directory, or pytest's configuration with ``--vectors``.
    """
    directory = source if isinstance(source, Path) else vectors_directory(source)
    with (directory / filename).open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]
