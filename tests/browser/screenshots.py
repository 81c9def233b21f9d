"""``make screenshots``: pictures of the console, from a run of its own.

``build/pictures`` has every page at 1400 and 400 pixels, light and dark, for a person to look at.
``docs/pictures`` has those that the README and the documents show.
"""

import argparse
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console

from tests.browser.pages import Tab, chromium, tab
from tests.fakes.serving import Served, orders

ROOT = Path(__file__).parents[2]
LINE = {"sku": "TEA-GREEN-100", "quantity": 2, "unit_price": 12.5}
VASE = {"sku": "VASE-LIMITED", "quantity": 1, "unit_price": 249}
ORDER: dict[str, Any] = {"customer_id": "C-42", "currency": "GBP", "items": [LINE]}

PAGES = {
    "overview": "/",
    "orders": "/orders",
    "order": "/orders/A-1001",
    "state": "/orders/A-1001?state=ProcessPayment#run",
    "waiting-order": "/orders/A-1007",
    "failed-order": "/orders/A-1006",
    "bus": "/bus",
    "dead-letters": "/dead-letters",
    "replays": "/replays",
    "queries": "/queries",
    "contracts": "/contracts",
    "activity": "/activity",
    "search": "/search?q=A-1",
}

IN_DOCUMENTS = ("overview", "order", "state")
"""Pages whose pictures at `SIZE` are in ``docs/pictures``."""

SIZE = {"width": 1280, "height": 800}


@contextmanager
def shop(folder: Path) -> Iterator[Served]:
    """Serve 200 generated orders, and some that wait, fail, or break their contract."""
    data = folder / ".orderflow"
    done = orders("run", "--count", "200", "--data", data, timeout=300)
    assert done.returncode == 0, done.stderr
    with Served(data) as served:
        _place(served, "A-1001", email="ada@example.com")
        _place(served, "A-1006", payment_token="tok_decline")
        _place(served, "A-1007", items=[VASE])
        detail = {**ORDER, "order_id": "A-1099", "total": 25, "timestamp": "yesterday"}
        entry = {"Source": "orders.service", "DetailType": "Order Created"}
        entry |= {"EventBusName": "orders-bus", "Detail": json.dumps(detail)}
        served.client("events").put_events(Entries=[entry])
        for order, status in (("A-1001", "COMPLETED"), ("A-1006", "FAILED"), ("A-1007", "WAITING")):
            served.until(f"select status from orders where order_id = '{order}'", status)
        orders("note", "A-1007", "the supplier promised Friday", "--data", data)
        yield served


def _place(served: Served, order_id: str, **changes: Any) -> None:
    status, answer = served.ask("POST", "/orders", {**ORDER, "order_id": order_id, **changes})
    assert status == 201, answer


def picture(opened: Tab, path: str, file: Path, *, whole: bool) -> None:
    """Write a picture of a page, or of the part of it that is on the screen."""
    page = opened.open(path)
    page.locator("#badge[data-state=live]").wait_for()
    page.wait_for_timeout(300)
    file.parent.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=file, full_page=whole)


def main() -> None:
    """Write all pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--to", type=Path, default=ROOT / "build" / "pictures")
    parser.add_argument("--documents", type=Path, default=ROOT / "docs" / "pictures")
    options = parser.parse_args()
    with TemporaryDirectory() as folder, shop(Path(folder)) as served, chromium() as browser:
        for colours in ("light", "dark"):
            for width in (1400, 400):
                window = {"width": width, "height": 900}
                with tab(browser, served.address, viewport=window, color_scheme=colours) as opened:
                    for name, path in PAGES.items():
                        file = options.to / f"{name}-{width}-{colours}.png"
                        picture(opened, path, file, whole=True)
            with tab(browser, served.address, viewport=SIZE, color_scheme=colours) as opened:
                for name in IN_DOCUMENTS:
                    file = options.documents / f"{name}-{colours}.png"
                    picture(opened, PAGES[name], file, whole=False)
    Console().print(f"pictures are in {options.to} and {options.documents}")


if __name__ == "__main__":
    main()
