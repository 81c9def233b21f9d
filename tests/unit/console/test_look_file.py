"""The file of a look at the dead letters: exact, within its limits, and read from anyone."""

import gzip
import json
import os
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.console.hosted import look_file
from infra.console.hosted.look_file import FORM, MAX_BYTES, UnreadableLook, decode, encode
from infra.console.stack.sample import Look
from infra.views.dead_letter import Closing, DeadLetter, HistoryEntry
from kernel.json_text import read
from tests.strategies import damaged, json_objects, json_values, nested

texts = st.text(max_size=20) | st.text(st.characters(), max_size=20)  # with lone surrogates
times = st.datetimes().map(lambda at: f"{at.isoformat()}Z")
entries = st.builds(HistoryEntry, st.integers() | texts, texts, texts, texts, json_objects)
letters = st.builds(
    DeadLetter,
    st.integers(0, 2**63) | st.text(min_size=1),
    texts,
    times,
    texts,
    st.none() | texts,
    st.none() | texts,
    st.dictionaries(texts, texts, max_size=3),
    json_values | st.integers(-(10**300), 10**300) | texts,
    st.none() | st.builds(Closing, texts, texts, texts, st.none() | st.integers()),
    st.none() | st.lists(entries, max_size=2),
)
LETTER = DeadLetter(
    "m-1", "AttentionQueue", "2026-01-31T12:00:00Z", "a reason", "A-1", "x", {"A": "b"}, {"a": 1}
)
CONTENT = {
    "form": FORM,
    "at": 1.0,
    "omitted": 0,
    "letters": [
        {
            "id": "m-1",
            "queue": "AttentionQueue",
            "since": "2026-01-31T12:00:00Z",
            "reason": "a reason",
            "order_id": "A-1",
            "source": None,
            "attributes": {"A": "b"},
            "body": {"a": 1},
        }
    ],
}


@given(st.lists(letters, max_size=4), st.floats(0, 1e11), st.integers(0, 10**6))
def test_a_look_is_read_exactly_as_it_was_kept(
    found: list[DeadLetter], at: float, omitted: int
) -> None:
    look = Look(at, found, omitted)
    data, kept = encode(look)
    assert kept == look
    assert decode(data) == look


@pytest.mark.parametrize("body", [nested(1_000), nested(1_000, '{"a":'), str(10**308)])
def test_the_deepest_and_the_longest_body_are_kept(body: str) -> None:
    look = Look(1.0, [replace(LETTER, body=read(body))])
    data, kept = encode(look)
    assert (kept, decode(data)) == (look, look)


def test_the_newest_are_kept_and_the_others_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(look_file, "MAX_LETTERS", 3)
    found = [replace(LETTER, id=f"m-{n}", since=f"2026-01-0{n}T12:00:00Z") for n in range(1, 6)]
    data, kept = encode(Look.of(found, 1.0))
    assert [letter.id for letter in kept.letters] == ["m-5", "m-4", "m-3"]
    assert (kept.omitted, decode(data)) == (2, kept)


def test_a_large_look_is_cut_to_the_limits_and_says_so() -> None:
    random = [replace(LETTER, id=f"m-{n}", body=os.urandom(120_000).hex()) for n in range(80)]
    data, kept = encode(Look(1.0, [*random, LETTER]))
    assert len(data) <= MAX_BYTES
    assert 0 < len(kept.letters) < 81
    assert len(kept.letters) + kept.omitted == 81
    assert LETTER in kept.letters  # a small one has room where a large one has none
    assert decode(data) == kept


def test_a_dead_letter_that_json_cannot_have_is_counted() -> None:
    _, kept = encode(Look(1.0, [replace(LETTER, body=float("nan")), LETTER]))
    assert (list(kept.letters), kept.omitted) == ([LETTER], 1)


def test_a_small_file_with_an_endless_text_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = gzip.compress(b" " * 50_000_000)
    assert len(bomb) < 100_000
    with pytest.raises(UnreadableLook, match="too long"):
        decode(bomb)


@given(damaged(st.just(CONTENT)))
def test_a_file_of_another_form_is_refused_or_can_be_shown(content: object) -> None:
    try:
        look = decode(gzip.compress(json.dumps(content).encode()))
    except UnreadableLook:
        return
    look.facts()


@given(st.binary(max_size=200), st.integers(0, 10_000))
def test_a_damaged_file_is_refused(noise: bytes, place: int) -> None:
    data, look = encode(Look(1.0, [LETTER]))
    at = place % len(data)
    for changed in (noise, data[:at], data[:at] + noise + data[at:], data + noise):
        try:
            found = decode(changed)
        except UnreadableLook:
            continue
        assert found == look  # a byte without a meaning, such as that of the system
