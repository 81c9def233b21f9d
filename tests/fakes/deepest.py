"""A process that takes the deepest of everything through all that recurses; it must not crash.

``python -m tests.fakes.deepest main`` does so in its main thread, ``thread`` in one of half the
stack that threads have. The name of each step is printed first, so the last line names the step
that ended the process.
"""

import copy
import json
import re
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from infra.asl import Ended, TimerFired, compile_definition
from infra.asl.execution import Execution
from infra.asl.expressions.intrinsics import MAX_NESTED
from infra.audit.in_flight import orders_in
from infra.dead_letters.edit import edit_fields
from infra.local.directory.history_pieces import packed, snapshot_in
from infra.local.template.errors import TemplateError
from infra.local.template.loader import read_yaml
from infra.patterns import InvalidPattern, compile_pattern
from kernel import json_text
from kernel.errors import InvalidEvent
from kernel.events import parse
from kernel.json_text import MAX_CARRIED, MAX_DEPTH
from storage.dynamodb.attributes import from_attribute, to_attribute
from tests.strategies import nested

TEXT = nested(MAX_DEPTH, '{"a":')
ENDLESS_DEPTH = 100_000
LEVELS_OF_A_FORK = 4
"""Levels of a definition for each Parallel or Map within another."""


def deep(levels: int, inner: Any = 1, *, lists: bool = True) -> Any:
    """Return objects within each other with lists between them, an object the outermost."""
    for level in range(levels):
        inner = [inner] if lists and (levels - level) % 2 == 0 else {"a": inner}
    return inner


def same(value: Any, other: Any) -> None:
    """Compare, not by a statement that would show both if they differ."""
    if value != other:
        raise AssertionError("it has changed")


# ---- what is taken: values


def write_and_parse() -> None:
    value = deep(MAX_CARRIED)
    same(json_text.parse(json_text.write(value)), value)
    same(json.loads(json.dumps(value, indent=2, sort_keys=True)), value)


def show() -> None:
    value = deep(MAX_CARRIED)
    assert repr(value) == repr(copy.deepcopy(value))
    edit_fields({"detail": value}, ["detail.x=1"], [])


def keep_in_dynamodb() -> None:
    value = deep(MAX_CARRIED)
    same(from_attribute(to_attribute(value)), value)


def audit() -> None:
    assert set(orders_in(nested(MAX_DEPTH, '{"event":', '{"order_id": "A"}'))) == {"A"}


def hold_to_the_contract() -> None:
    detail = {"order_id": deep(MAX_DEPTH), "items": [deep(MAX_DEPTH)], "metadata": deep(MAX_DEPTH)}
    with suppress(InvalidEvent):
        parse({"source": "orders.service", "detail-type": "Order Created", "detail": detail})


# ---- what is taken: patterns


def match_the_deepest_pattern() -> None:
    levels = 680  # in 4,096 characters
    pattern = compile_pattern(nested(levels, '{"a":', "[1]"))
    assert pattern.matches(deep(levels, lists=False))
    assert not pattern.matches(deep(MAX_DEPTH))


def match_the_longest_name() -> None:
    levels = MAX_DEPTH // 2
    name = ".".join("a" * levels)
    pattern = compile_pattern(json.dumps({f"{name}.b": [{"exists": False}], name: [1]}))
    assert pattern.matches(deep(2 * levels - 1))
    compile_pattern(json.dumps({".".join("a" * 2_000): [1]})).matches({"a.a": 1, "a": {"a": 2}})


def refuse_brackets() -> None:
    with suppress(InvalidPattern):
        compile_pattern('{"a":[{"anything-but":' + "[" * 4_000)


# ---- what is taken: definitions


def forks(inner: dict[str, Any], outer: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
    """Return a definition with as many forks within each other as are taken."""
    for level in range((MAX_DEPTH - 4) // LEVELS_OF_A_FORK):
        inner = outer({"StartAt": f"S{level}", "States": {f"S{level}": inner}})
    return {"StartAt": "S", "States": {"S": inner}}


def parallel(branch: dict[str, Any]) -> dict[str, Any]:
    return {"Type": "Parallel", "Branches": [branch], "End": True}


def a_map(processor: dict[str, Any]) -> dict[str, Any]:
    return {"Type": "Map", "ItemProcessor": processor, "End": True}


def run(definition: Any, given: Any) -> Ended:
    """Run a workflow to its end; whatever it waits for, with a restart before."""
    machine = compile_definition(definition, name="deep")
    execution, effects = machine.start(given, {"Execution": {"Input": given}}, 0.0)
    if not isinstance(effects[-1], Ended):
        snapshot = snapshot_in(packed(execution.drain_rows(), execution.snapshot()))
        execution = Execution.restore(snapshot, machine)
        [timer] = machine.resume(execution, 0.0)
        effects = machine.advance(execution, TimerFired(timer.token), 9.0)  # type: ignore[union-attr]
    packed(execution.drain_rows(), None)
    ended = effects[-1]
    assert isinstance(ended, Ended)
    return ended


def run_state(state: dict[str, Any], given: Any) -> Ended:
    return run({"StartAt": "S", "States": {"S": {"End": True, **state}}}, given)


def run_forks() -> None:
    wait = {"Type": "Wait", "Seconds": 1, "End": True}
    assert run(forks(wait, parallel), deep(MAX_DEPTH // 2)).status == "SUCCEEDED"
    fail = {"Type": "Fail", "Error": "Broken"}
    assert run(forks(fail, parallel), deep(MAX_DEPTH)).error == "Broken"
    items = json_text.read(nested(MAX_DEPTH, "["))
    assert run(forks({"Type": "Pass", "End": True}, a_map), items).status == "SUCCEEDED"


def run_rules() -> None:
    test = {"Variable": "$.a", "IsPresent": True}
    negated, joined = test, test
    for _ in range(MAX_DEPTH - 5):
        negated = {"Not": negated}
    for _ in range((MAX_DEPTH - 5) // 2):
        joined = {"And": [joined]}
    for rule in (negated, joined):
        state = {"Type": "Choice", "Choices": [{**rule, "Next": "T"}], "Default": "T"}
        states = {"S": state, "T": {"Type": "Succeed"}}
        assert run({"StartAt": "S", "States": states}, deep(MAX_DEPTH)).status == "SUCCEEDED"


def run_expressions() -> None:
    template = deep(MAX_DEPTH - 5, {"x.$": "$.x"})
    assert run_state({"Type": "Pass", "Parameters": template}, {"x": 1}).status == "SUCCEEDED"
    calls = {"x.$": "States.Array(" * MAX_NESTED + "$.x" + ")" * MAX_NESTED}
    assert run_state({"Type": "Pass", "Parameters": calls}, {"x": 1}).status == "SUCCEEDED"
    far = {"Type": "Pass", "ResultPath": "$" + ".a" * MAX_DEPTH}
    assert run_state(far, {}).status == "SUCCEEDED"
    both = {"x.$": calls["x.$"], "y": template}
    assert run_state({"Type": "Pass", "Parameters": both}, {"x": deep(MAX_DEPTH)}).error


def run_a_loop_that_wraps() -> None:
    states = {
        name: {"Type": "Pass", "Parameters": {"a.$": "$"}, "Next": then}
        for name, then in ("AB", "BA")
    }
    ended = run({"StartAt": "A", "States": states}, {})
    assert ended.error == "States.Runtime"
    assert f"nested deeper than {MAX_CARRIED} levels" in str(ended.cause)


# ---- what is taken or refused: templates


def read_templates() -> None:
    read_yaml(nested(MAX_DEPTH, "["), "here")
    read_yaml("a: &a {b: 1}\nc: {<<: *a}", "here")
    for levels in (MAX_DEPTH + 1, 9_000, 30_000, ENDLESS_DEPTH):
        for opening in ("[", "{a: ", "- ", "? "):
            text = nested(levels, opening) if opening == "[" else opening * levels + "1"
            with suppress(TemplateError):
                read_yaml(text, "here")


# ---- what recurses without end, in the ways of the shipped code


def generators() -> Iterator[int]:
    yield from generators()


def predicates() -> bool:
    return all(predicates() for _ in range(1))


def replaced(_: re.Match[str]) -> str:
    return re.sub("a", replaced, "a")


def unpacked(*given: Any) -> Any:
    return unpacked(*given)


TAKEN: list[Callable[[], object]] = [
    lambda: json_text.read(TEXT),
    write_and_parse,
    show,
    keep_in_dynamodb,
    audit,
    hold_to_the_contract,
    match_the_deepest_pattern,
    match_the_longest_name,
    refuse_brackets,
    run_forks,
    run_rules,
    run_expressions,
    run_a_loop_that_wraps,
    read_templates,
]
ENDLESS: list[Callable[[], object]] = [
    lambda: json.loads(nested(ENDLESS_DEPTH)),
    lambda: json.dumps(deep(ENDLESS_DEPTH)),
    lambda: repr(deep(ENDLESS_DEPTH)),
    lambda: deep(ENDLESS_DEPTH) == deep(ENDLESS_DEPTH),
    lambda: copy.deepcopy(deep(ENDLESS_DEPTH)),
    lambda: next(generators()),
    predicates,
    lambda: re.sub("a", replaced, "a"),
    unpacked,
]


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def go(begin: Callable[[Callable[[], object]], object]) -> None:
    """Do all of it, each by `begin`."""
    for number, act in enumerate(TAKEN):
        say(f"taken {number} {act.__name__}")
        begin(act)
    for number, act in enumerate(ENDLESS):
        say(f"endless {number} {act.__name__}")
        with suppress(RecursionError):
            begin(act)
            raise AssertionError("it has an end")
    say("done")


if __name__ == "__main__":
    if sys.argv[1] == "main":
        go(lambda act: act())
    else:
        threading.stack_size(threading.stack_size() // 2)
        with ThreadPoolExecutor(1) as pool:
            go(lambda act: pool.submit(act).result())
