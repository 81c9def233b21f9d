"""Redrives of dead letters that a test asks of an engine."""

from collections.abc import Sequence
from typing import Any

from infra.dead_letters.reading import OPERATOR
from infra.local.engine.engine import Engine


def redrive(
    engine: Engine, ids: Sequence[int], now: float, who: str = OPERATOR
) -> list[dict[str, Any]]:
    """Redrive dead letters as an operator; all of them, if no id is given."""
    return engine.dead_letters.redrive(ids, who, now)
