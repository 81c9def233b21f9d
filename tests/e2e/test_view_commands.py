"""`orders views`: filters of the console's lists are saved by name, with a server and without."""

from pathlib import Path
from typing import Any

import pytest

from infra.views.saved_views import LISTS
from tests.fakes.serving import Served, answer, orders

PATTERN = '{"detail": {"total": [{"numeric": [">", 999]}]}}'


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("views") / "data"
    answer("run", "--count", 1, "--data", where)
    return where


def views(*arguments: object, data: Path) -> Any:
    return answer("views", *arguments, "--data", data)


def names(data: Path, *arguments: object) -> list[tuple[str, str]]:
    return [(each["page"], each["name"]) for each in views("list", *arguments, data=data)["views"]]


def test_a_view_is_saved_listed_replaced_and_deleted(data: Path) -> None:
    filters = ("--filter", "status=FAILED", "--filter", "customer=C 1")
    told = views("save", "  Lost  at C-1 ", *filters, data=data)
    assert told["name"] == "Lost at C-1"
    assert told["filters"] == {"customer": "C 1", "status": "FAILED"}
    assert told["address"] == "/console/orders?customer=C+1&status=FAILED"
    views("save", "dear", "--page", "bus", "--filter", f"pattern={PATTERN}", data=data)
    assert names(data) == [("orders", "Lost at C-1"), ("bus", "dear")]
    assert names(data, "--page", "bus") == [("bus", "dear")]
    views("save", "dear", "--page", "bus", "--filter", "type=Order Created", data=data)
    [view] = views("list", "--page", "bus", data=data)["views"]
    assert view["filters"] == {"type": "Order Created"}
    shown = orders("views", "list", "--data", data).stdout
    assert "customer=C 1 status=FAILED" in shown
    for page, name in names(data):
        assert views("delete", name, "--page", page, data=data)["deleted"] is True
    assert names(data) == []
    assert "no saved views" in orders("views", "list", "--data", data).stdout


def test_a_served_view_is_the_link_of_the_console(data: Path) -> None:
    with Served(data) as served:
        options = ("--page", "dead-letters", "--filter", "by=queue")
        told = views("save", "by queue", *options, data=data)
        assert told["address"] == f"{served.address}/console/dead-letters?by=queue"
        views("delete", "by queue", "--page", "dead-letters", data=data)
        gone = orders("views", "delete", "by queue", "--page", "dead-letters", "--data", data)
        assert (gone.returncode, "has no view 'by queue'" in gone.stderr) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("save", "x"), "--filter"),
        (("save", "x", "--filter", "status"), "write FIELD=VALUE"),
        (("save", "x", "--filter", "status="), "status: is empty"),
        (("save", "x", "--filter", "status=LOST"), "'LOST' is none of"),
        (("save", "x", "--filter", "preset=mine"), "'mine' is none of in-flight"),
        (("save", "x", "--filter", "from=today"), "is no date; write 2026-01-31"),
        (("save", "x", "--filter", "sku=A"), "choose preset, status, reason"),
        (("save", "x", "--filter", "reason=a", "--filter", "reason=b"), "reason: is given twice"),
        (("save", "x", "--page", "bus", "--filter", "pattern=[]"), "pattern: "),
        (("save", "x", "--page", "dead-letters", "--filter", "by=age"), "is none of reason, queue"),
        (("save", "\u200b", "--filter", "reason=a"), "has no visible character"),
        (("save", "x" * 61, "--filter", "reason=a"), "name: send 1 to 60 characters"),
        (("delete", "nope"), "the list has no view 'nope'"),
        (("list", "--stack", "orderflow"), "--stack: a stack keeps no saved views"),
    ],
)
def test_wrong_arguments_are_refused(data: Path, arguments: tuple[str, ...], problem: str) -> None:
    done = orders("views", *arguments, "--data", data)
    assert done.returncode in (1, 2)
    assert problem in " ".join(done.stderr.split())


def test_the_help_names_each_filter() -> None:
    told = orders("views", "save", "--help").stdout
    assert [name for _, filters in LISTS.values() for name in filters if name not in told] == []
