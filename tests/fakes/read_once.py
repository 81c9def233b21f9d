"""YAML documents that are parsed once in a process of tests: most tests read the same template."""

import pickle
from functools import lru_cache
from typing import Any

from yaml import SafeLoader

from infra.local.engine import definitions
from infra.local.template import loader, resources

PLACES = (loader, resources, definitions)
"""Modules that call `read_yaml`."""

_parse = loader.read_yaml


@lru_cache(maxsize=64)
def _pickled(text: str, place: str, kind: Any) -> bytes:
    return pickle.dumps(_parse(text, place, kind))


def read_yaml(text: str, place: str, kind: Any = SafeLoader) -> Any:
    """Return a value of its own for each call, as `loader.read_yaml` does."""
    return pickle.loads(_pickled(text, place, kind))  # noqa: S301 - pickled above
