"""Fixtures of end-to-end tests: runs in separate processes, because a process caches its wiring."""

import json
import multiprocessing
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from infra.contracts.folder import FOLDER, OPENAPI
from tests.fakes.serving import Served
from tests.faults.scene import forget

DOCUMENT = json.loads((FOLDER / OPENAPI).read_text(encoding="utf-8"))

FORK = multiprocessing.get_context("fork")


def _call(connection: Any, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    forget()  # the wiring of functions that ran in the parent process
    try:
        connection.send((True, function(*arguments)))
    except BaseException as error:  # noqa: BLE001 - raised again where it was asked for
        connection.send((False, repr(error)))


@pytest.fixture(scope="session")
def apart() -> Callable[..., Any]:
    """Call a function in a forked process and return its answer."""

    def call(function: Callable[..., Any], *arguments: Any) -> Any:
        ours, theirs = FORK.Pipe()
        process = FORK.Process(target=_call, args=(theirs, function, arguments))
        process.start()
        theirs.close()
        done, answer = ours.recv() if ours.poll(120) else (False, "no answer in 120 s")
        if not done:
            process.kill()
        process.join(10)
        assert done, answer
        return answer

    return call


@pytest.fixture(scope="module")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Serve a data directory with the order of the OpenAPI document's examples."""
    with Served(tmp_path_factory.mktemp("served") / "data") as server:
        media = DOCUMENT["paths"]["/orders"]["post"]["requestBody"]["content"]["application/json"]
        order = {**media["example"], "order_id": "A-1001", "customer_id": "C-42"}
        assert server.ask("POST", "/orders", order)[0] == 201
        yield server
        assert server.ask("GET", "/health") == (200, {"status": "ok"})
