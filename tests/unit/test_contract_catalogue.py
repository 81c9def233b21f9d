"""The catalogue of contracts, and the check of an event's text."""

import json

import pytest

from infra.local.directory.data_directory import DataDirectory
from infra.local.platform import stack_of
from infra.views.contract_catalogue import (
    catalogue,
    consumers_of,
    schema_text,
    validate,
    validate_all,
)
from kernel.events import CONTRACTS, REQUESTS


def test_the_catalogue_has_every_contract_with_fields_examples_and_versions() -> None:
    entries = catalogue().values()
    assert {entry.name for entry in entries} == set(CONTRACTS)
    assert {entry.name for entry in entries if entry.is_request} == set(REQUESTS)
    for entry in entries:
        assert entry.fields
        assert entry.examples
        assert entry.versions[0].version == entry.version
        assert json.loads(schema_text(entry))["title"] == entry.name


def test_an_example_of_each_event_is_valid() -> None:
    for entry in catalogue().values():
        for example in entry.examples:
            assert validate(json.dumps(example.envelope)).problems == ()


def test_the_consumers_of_an_event_are_the_rules_that_match_its_examples(tmp_path: object) -> None:
    rules = stack_of(DataDirectory(tmp_path)).rules  # type: ignore[arg-type]
    consumers = {each.rule: each for each in consumers_of(catalogue()["order-created"], rules)}
    assert consumers["OrderCreatedRule"].always
    assert not consumers["HighValueRule"].always
    assert "OrderCancelledRule" not in consumers


def test_an_entry_of_put_events_is_an_event_too() -> None:
    envelope = catalogue()["order-created"].examples[0].envelope
    entry = {"Source": envelope["source"], "DetailType": envelope["detail-type"]}
    assert validate(json.dumps({**entry, "Detail": json.dumps(envelope["detail"])})).problems == ()


@pytest.mark.parametrize(
    ("text", "field", "words"),
    [
        ("", "JSON", "line 1, column 1"),
        ('{"a":\n ?}', "JSON", "line 2, column 2"),
        ("[]", "event", "is no JSON object"),
        ("{}", "source", "is not 'orders.service'"),
        ('{"Source": "orders.service", "DetailType": "x", "Detail": "{"}', "Detail", "is no JSON"),
        ("[" * 5_000, "JSON", "nested deeper"),
    ],
)
def test_a_problem_names_its_field_and_place(text: str, field: str, words: str) -> None:
    problem = validate(text).problems[0]
    assert problem.field == field
    assert words in problem.problem


def test_several_events_are_checked_as_a_list_or_one_a_line() -> None:
    good = json.dumps(catalogue()["order-cancelled"].examples[0].envelope)
    bad = good.replace("orders.service", "other")
    for text, places in ((f"[{good}, {bad}]", [1, 2]), (f"{good}\n\n{bad}\n", [1, 3])):
        found = validate_all(text, 10).events
        assert [place for place, _ in found] == places
        assert [bool(checked.problems) for _, checked in found] == [False, True]


def test_a_check_of_many_events_is_bounded_and_counts_the_others() -> None:
    found = validate_all("\n".join(["{}"] * 30), 10)
    assert (len(found.events), found.omitted) == (10, 20)


def test_a_syntax_error_in_one_indented_event_is_one_problem() -> None:
    [(place, checked)] = validate_all('{\n  "source": "orders.service",\n  oops\n}', 10).events
    assert place == 1
    assert "line 3" in checked.problems[0].problem
