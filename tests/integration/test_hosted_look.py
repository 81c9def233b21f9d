"""The last look at the dead letters in a bucket: shared, missing, damaged, changed by two."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from infra.console.hosted import look_file
from infra.console.hosted.look import KEY, LIFETIME, MEMORY, BucketSample
from infra.console.stack.limits import HOSTED
from infra.deployed.stack import DeployedStack
from infra.errors import AWSError
from infra.views.dead_letter import DeadLetter
from tests.fakes.clock import SetClock
from tests.fakes.stack_console import StackVisitor, counted_calls, refusing, visiting
from tests.integration.deployed import BUCKET
from tests.integration.test_stack_console_acting import LETTER as BODY
from tests.integration.test_stack_console_acting import put_in

NOW = 1_800_000_000.0
LETTER = DeadLetter(
    "m-1", "AttentionQueue", "2026-01-31T12:00:00Z", "a reason", "A-1", "x", {"A": "b"}, {"a": 1}
)
OTHER = replace(LETTER, id="m-2", since="2026-01-31T13:00:00Z", order_id="A-2")


@pytest.fixture
def clock() -> SetClock:
    return SetClock(NOW)


@pytest.fixture
def s3(stack: DeployedStack) -> Any:
    return stack.client("s3")


@pytest.fixture
def sample(s3: Any, clock: SetClock) -> BucketSample:
    return BucketSample(s3, BUCKET, clock)


@pytest.fixture
def elsewhere(s3: Any, clock: SetClock) -> BucketSample:
    """Return the look of another container."""
    return BucketSample(s3, BUCKET, clock)


def shown(sample: BucketSample) -> list[Any]:
    look = sample.look
    return [letter.id for letter in look.letters] if look else []


def test_a_look_of_one_container_is_that_of_all(
    sample: BucketSample, elsewhere: BucketSample
) -> None:
    sample.keep([LETTER, OTHER], NOW)
    assert sample.look == elsewhere.look
    assert shown(elsewhere) == ["m-2", "m-1"]
    assert elsewhere.find("m-1") == LETTER
    assert elsewhere.find("m-3") is None
    assert elsewhere.of_order("A-2") == [OTHER]


def test_a_bucket_without_a_look_has_none(sample: BucketSample) -> None:
    assert (sample.look, sample.find("m-1"), sample.of_order("A-1")) == (None, None, [])
    sample.forget(["m-1"])


def test_a_caller_who_may_not_list_the_bucket_has_no_look_rather_than_an_error(
    sample: BucketSample, s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from botocore.exceptions import ClientError

    def denied(*_: Any, **__: Any) -> Any:
        error: Any = {"Error": {"Code": "AccessDenied"}}
        error["ResponseMetadata"] = {"HTTPStatusCode": 403}
        raise ClientError(error, "GetObject")

    monkeypatch.setattr(s3, "get_object", denied)
    assert sample.look is None


def test_an_unchanged_look_is_read_once_and_then_asked_for_its_tag(
    sample: BucketSample,
    elsewhere: BucketSample,
    clock: SetClock,
    s3: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sample.keep([LETTER], NOW)
    with counted_calls() as calls:
        assert [shown(elsewhere) for _ in range(5)] == [["m-1"]] * 5
        assert shown(sample) == ["m-1"]
    assert calls == ["GetObject"]
    clock.now += MEMORY
    asked: list[Any] = []
    real = s3.get_object

    def watched(**request: Any) -> Any:
        asked.append(request)
        return real(**request)

    monkeypatch.setattr(s3, "get_object", watched)
    assert shown(elsewhere) == ["m-1"]
    assert "IfNoneMatch" in asked[0]


def test_a_new_look_is_seen_elsewhere_after_some_seconds(
    sample: BucketSample, elsewhere: BucketSample, clock: SetClock
) -> None:
    sample.keep([LETTER], NOW)
    assert shown(elsewhere) == ["m-1"]
    sample.keep([OTHER], NOW + 1)
    clock.now += MEMORY
    assert shown(elsewhere) == ["m-2"]


def test_a_look_is_none_after_a_day(
    sample: BucketSample, elsewhere: BucketSample, clock: SetClock
) -> None:
    sample.keep([LETTER], NOW)
    clock.now += LIFETIME
    assert (sample.look, elsewhere.look) == (None, None)


@pytest.mark.parametrize("body", [b"", b"<html>", b"\x1f\x8b\x08\x00damaged", b"\x00" * 5_000_000])
def test_a_damaged_or_foreign_object_is_no_look(sample: BucketSample, s3: Any, body: bytes) -> None:
    s3.put_object(Bucket=BUCKET, Key=KEY, Body=body)
    assert sample.look is None
    sample.forget(["m-1"])
    sample.keep([LETTER], NOW)
    assert shown(sample) == ["m-1"]


def test_two_operators_who_act_at_once_forget_both_dead_letters(
    sample: BucketSample, elsewhere: BucketSample, clock: SetClock
) -> None:
    sample.keep([LETTER, OTHER], NOW)
    assert len(shown(elsewhere)) == 2
    sample.forget(["m-1"])
    elsewhere.forget(["m-2"])
    assert shown(elsewhere) == []
    clock.now += MEMORY
    assert shown(sample) == []


def test_a_look_that_comes_between_is_not_overwritten_by_a_removal(
    sample: BucketSample, elsewhere: BucketSample, s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample.keep([LETTER, OTHER], NOW)
    real = s3.put_object
    new = replace(LETTER, id="m-3")

    def put_later(**request: Any) -> Any:
        monkeypatch.setattr(s3, "put_object", real)
        elsewhere.keep([LETTER, new], NOW + 1)
        return real(**request)

    monkeypatch.setattr(s3, "put_object", put_later)
    sample.forget(["m-1"])
    assert shown(sample) == ["m-3"]
    assert shown(elsewhere) == ["m-3", "m-1"]  # until its next read


def test_an_action_that_has_happened_is_no_failure_without_the_bucket(
    sample: BucketSample,
    elsewhere: BucketSample,
    clock: SetClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    sample.keep([LETTER, OTHER], NOW)
    with refusing({"PutObject": "InternalError"}):
        sample.forget(["m-1"])
    assert caplog.text.count("was not changed") == 1
    assert shown(sample) == ["m-2"]
    assert shown(elsewhere) == ["m-2", "m-1"]  # shown, and an action on it is refused
    with refusing({"GetObject": "SlowDown"}):
        clock.now += MEMORY
        assert shown(elsewhere) == ["m-2", "m-1"]
    assert "was not read" in caplog.text


def test_a_look_that_the_bucket_refuses_is_an_error_with_its_place(sample: BucketSample) -> None:
    with refusing({"PutObject": "AccessDenied"}), pytest.raises(AWSError) as raised:
        sample.keep([LETTER], NOW)
    assert f"{KEY} in the bucket {BUCKET}" in str(raised.value)
    assert sample.look is None


# ---- the pages with it


@pytest.fixture
def visitor(stack: DeployedStack, sample: BucketSample) -> Iterator[StackVisitor]:
    sample._now = lambda: NOW  # noqa: SLF001
    with visiting(stack, replace(HOSTED, wait=0.0), sample) as opened:
        opened.source.now = lambda: NOW
        yield opened


def test_a_dead_letter_is_seen_by_one_container_and_redriven_by_another(
    stack: DeployedStack, visitor: StackVisitor, elsewhere: BucketSample
) -> None:
    number = put_in(stack, BODY)
    page = visitor.acted("/console/dead-letters/look", {})
    assert "1 dead letter in 1 group" in page.text
    with visiting(stack, replace(HOSTED, wait=0.0), elsewhere) as other:
        other.source.now = lambda: NOW
        assert "InvalidEvent" in other.get(f"/console/dead-letters/{number}").text
        done = other.acted(f"/console/dead-letters/{number}/discard", {"reason": "a test"})
        assert "is discarded" in done.text
    again = visitor.post(f"/console/dead-letters/{number}/redrive", {})
    assert again.status == 303
    assert "was not received" in visitor.get(again.headers["location"]).text


def test_the_page_says_how_many_were_seen_and_not_kept(
    stack: DeployedStack, visitor: StackVisitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(look_file, "MAX_LETTERS", 2)
    for _ in range(5):
        put_in(stack, BODY)
    page = visitor.acted("/console/dead-letters/look", {})
    assert "SQS has shown 5 dead letters." in page.text
    assert "the newest 2 of 5 were read" in page.text
