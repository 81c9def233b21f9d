"""The state of a data directory's server, which its ``/ready`` tells."""

import json
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import urlsplit

from infra.local.directory.data_directory import DataDirectory
from infra.views.health import Workers

PATIENCE = 2.0
"""Seconds that a server may take for its state."""


def ask_server(where: DataDirectory) -> Workers | None:
    """Return the state of the server of a directory, or None without a server."""
    address = where.served_at()
    if address is None:
        return None
    try:
        state = _ready(address)
    except (OSError, HTTPException, ValueError) as error:
        problem = f"it does not answer: {str(error) or type(error).__name__}"
        return Workers(
            address, ready=False, problem=problem, alive=None, wanted=None, replaced=None
        )
    workers = state.get("workers") or {}
    return Workers(
        address,
        ready=state.get("ready") is True,
        problem=state.get("problem"),
        alive=workers.get("alive"),
        wanted=workers.get("wanted"),
        replaced=workers.get("replaced"),
    )


def _ready(address: str) -> dict[str, Any]:
    with closing(HTTPConnection(urlsplit(address).netloc, timeout=PATIENCE)) as connection:
        connection.request("GET", "/ready")
        state: dict[str, Any] = json.loads(connection.getresponse().read())
        return state
