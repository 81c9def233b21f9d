"""Messages and answers that an operator or a producer met and could not use."""

import json
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError

from infra.terminal.layout import wrap
from tests.fakes.serving import Served, answer, orders
from tests.host import order


def test_a_command_in_a_hint_is_not_wrapped() -> None:
    text = "They are in the journal, and `orders run --count 0 --data somewhere` processes them"
    lines = wrap(text, 60)
    assert any("`orders run --count 0 --data somewhere`" in line for line in lines)
    assert all(len(line) <= 60 for line in lines)
    assert " ".join(lines) == text


@pytest.mark.parametrize("text", ["a ` b c d", "`a b c d e f g h i j k`", "x" * 30, "`a` b `c`"])
def test_wrapped_lines_have_every_word_once(text: str) -> None:
    assert " ".join(wrap(text, 8)) == text


def test_a_file_without_an_event_is_no_success(tmp_path: Path) -> None:
    (tmp_path / "empty.json").write_text("[]")
    done = orders("events", "validate", tmp_path / "empty.json")
    assert (done.returncode, "no event" in done.stderr) == (1, True)


def test_an_order_that_is_known_is_named_by_emit(tmp_path: Path) -> None:
    file, data = tmp_path / "order.json", tmp_path / "data"
    file.write_text(json.dumps(order("T-7")))
    assert "known" not in answer("emit", file, "--data", data)
    assert "known already" not in orders("emit", file, "--data", data).stdout
    with Served(data, "--workers", "0") as server:
        server.until("select count(*) from orders", 1)
        again = orders("emit", file, "--data", data)
        assert answer("emit", file, "--data", data)["known"] == 1
        assert "known already, so that nothing happens twice: T-7 (" in again.stdout


def test_a_client_of_the_query_protocol_can_read_its_refusal(tmp_path: Path) -> None:
    with Served(tmp_path / "data", "--workers", "0") as server:
        lines = server.output()
        assert "--region us-east-1 --no-sign-request" in lines
        for service, operation in (("cloudformation", "list_stacks"), ("sns", "list_topics")):
            client = boto3.client(
                service,  # type: ignore[call-overload]
                endpoint_url=server.address,
                region_name="us-east-1",
                aws_access_key_id="test",
                aws_secret_access_key="test",
            )
            with pytest.raises(ClientError, match=r"UnsupportedProtocol.*speaks JSON"):
                getattr(client, operation)()


def test_a_voided_shipment_that_never_was_is_not_shown_as_one(tmp_path: Path) -> None:
    data = tmp_path / "data"
    answer("run", "--count", "60", "--seed", "3", "--workers", "0", "--data", data)
    failed = answer("list", "--status", "FAILED", "--data", data)["orders"]
    [order_id, *_] = [each["order_id"] for each in failed if each["failure"] == "CarrierError"]
    shown = orders("show", order_id, "--data", data).stdout
    assert "shipment  none; voided in case that the carrier took it" in shown
