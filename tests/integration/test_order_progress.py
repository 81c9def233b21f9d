"""``orders show``: the attempts of each state, and the present activity or wait of an order."""

from collections.abc import Iterator

import pytest

from infra.views.local_story import read_story
from infra.views.order_story import OrderStory
from tests.fakes.serving import orders
from tests.faults.conftest import scene as scene  # noqa: PLC0414 - a fixture
from tests.faults.scene import Scene
from tests.host import Host, order

VASE = {"items": [{"sku": "VASE", "quantity": 1, "unit_price": 12.5}]}


@pytest.fixture
def platform(scene: Scene) -> Iterator[Host]:
    with scene.open() as opened:
        opened.receive(TEA=1_000, VASE=0)
        yield opened


def turns(host: Host, number: int = 300) -> None:
    """Work without skipping a wait."""
    for _ in range(number):
        host.engine.turn(0)


def story(host: Host, order_id: str = "T-1") -> OrderStory:
    return read_story(host.directory, order_id)


def test_an_ended_order_is_stuck_on_nothing(platform: Host) -> None:
    platform.put(order("T-1"))
    platform.settle()
    found = story(platform)
    assert found.stuck_on is None
    [run] = found.runs
    assert {each.state: each.attempts for each in run.attempts}["ProcessPayment"] == 1
    assert {each.error for each in run.attempts} == {None}


def test_a_waiting_order_says_for_what_since_and_until_when(platform: Host) -> None:
    platform.put(order("T-1", **VASE))
    turns(platform)
    found = story(platform).stuck_on
    assert found is not None
    assert found.startswith("waits for stock since 20")
    assert " until 20" in found
    assert found.endswith("(wait 1)")


def test_an_unpaid_refund_is_told_with_the_reason_of_its_dead_letter(platform: Host) -> None:
    bad = {"name": "A", "street": "SANDBOX FAIL", "city": "C", "country": "Y"}
    platform.put(order("T-1", payment_token="tok_refund_fails", shipping_address=bad))
    platform.settle()
    assert platform.status() == "COMPENSATING"
    found = story(platform).stuck_on
    assert found is not None
    assert found.startswith("the refund of 12.50 USD is not paid; no run processes it;")
    assert "it needs an operator: PaymentGatewayError: " in found


def test_a_run_that_retries_says_in_which_state_and_why(platform: Host) -> None:
    platform.put(order("T-1", payment_token="tok_unavailable_2"))
    found = None
    for _ in range(400):
        platform.engine.turn(0)
        found = story(platform).stuck_on if platform.status() else None
        if found and "attempt" in found:
            break
    assert found is not None
    assert " is in ProcessPayment since 20" in found
    platform.settle()
    attempts = [each for run in story(platform).runs for each in run.attempts if each.error]
    assert attempts[0].state == "ProcessPayment"
    assert sum(each.attempts for each in attempts) > 1


def test_the_command_prints_it_whole(platform: Host) -> None:
    platform.put(order("T-1", **VASE))
    turns(platform)
    shown = orders("show", "T-1", "--data", platform.directory.root).stdout
    assert "now" in shown
    assert "waits for stock since" in shown
    assert "waited once" in shown
