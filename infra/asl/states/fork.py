"""Parallel and Map: states with children; their exit follows the end of the last child."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

from infra.asl import redrive
from infra.asl.errors import (
    EXCEED_TOLERATED_FAILURE_THRESHOLD,
    QueryFailure,
    StateFailure,
    TerminalFailure,
)
from infra.asl.execution import Frame
from infra.asl.expressions.paths import Reader, Scope
from infra.asl.expressions.values import JSON, to_json_text
from infra.asl.fields import Fields
from infra.asl.retry import compile_catchers, compile_retriers
from infra.asl.states.state import State, StateTable, check_parameters, compile_succeed

if TYPE_CHECKING:
    from infra.asl.interpreter import Advance

CompileTable: TypeAlias = Callable[[Fields], StateTable]
Begin: TypeAlias = Callable[["Advance", Frame], None]
Prepare: TypeAlias = Callable[[Frame, Frame], JSON]

_INLINE_CONCURRENCY = 40


def compile_parallel(name: str, fields: Fields, compile_table: CompileTable) -> State:
    """Compile a Parallel: every branch gets the same input."""
    input_path, parameters = fields.path("InputPath"), fields.arguments()
    fields.require("Branches", list)
    branches = [compile_table(branch) for branch in fields.each("Branches")]

    def begin(advance: "Advance", frame: Frame) -> None:
        data = input_path(frame.input, frame)
        frame.request = parameters(data, frame) if parameters else data
        check_parameters(name, frame.request)
        frame.results = [None] * len(branches)
        frame.limit = len(branches)
        advance.record(frame, "ParallelStateStarted", {})

    def prepare(frame: Frame, _child: Frame) -> JSON:
        return frame.request

    return _fork(name, "Parallel", fields, branches, (begin, prepare))


def compile_map(name: str, fields: Fields, compile_table: CompileTable) -> State:
    """Compile a Map: one iteration an item, at most ``MaxConcurrency`` (40) at once."""
    distributed = {"ItemReader", "ItemBatcher", "ResultWriter", "Label"} & fields.unread
    if distributed:
        raise fields.refuse("A distributed Map is not supported", min(distributed))
    processor = fields.nested(fields.one_of("ItemProcessor", "Iterator") or "ItemProcessor")
    if processor.get("ProcessorConfig", dict, {}).get("Mode", "INLINE") != "INLINE":
        raise processor.refuse("A distributed Map is not supported", "ProcessorConfig/Mode")
    table = compile_table(processor)
    input_path, items_path = fields.path("InputPath"), _items(fields)
    is_jsonata = fields.is_jsonata
    old_selector = None if is_jsonata else fields.one_of("ItemSelector", "Parameters")
    select = fields.template(old_selector or "ItemSelector")
    refusal = "Expected non-negative integer for MaxConcurrency, got '{value}' instead."
    concurrency = fields.setting("MaxConcurrency", 0, (0, float("inf")), refusal=refusal)
    tolerated = _tolerated(fields)

    def begin(advance: "Advance", frame: Frame) -> None:
        data = input_path(frame.input, frame)
        frame.limit = min(concurrency(data, frame) or _INLINE_CONCURRENCY, _INLINE_CONCURRENCY)
        items = items_path(data, frame)
        if not isinstance(items, list):
            problem = f"Map state input must be an array but was: {to_json_text(items)}"
            raise QueryFailure(problem) if is_jsonata else TerminalFailure(problem)
        check_parameters(name, items)
        advance.record(frame, "MapStateStarted", {"length": len(items)})
        frame.results = [None] * len(items)
        frame.tolerated = tolerated(data, frame, len(items))
        frame.map_source = (data, items)
        if is_jsonata:  # a second evaluation may select other items: $random(), $now()
            frame.request = items

    def prepare(frame: Frame, child: Frame) -> JSON:
        if frame.map_source is None:  # after a restart
            source = input_path(frame.input, frame)
            frame.map_source = (source, frame.request if is_jsonata else items_path(source, frame))
        data, items = frame.map_source
        item = items[child.index]
        child.item = {"Index": child.index, "Value": item}
        if select is None:
            return item
        selected = select(data, _ItemScope(frame, child.item))
        check_parameters(name, selected)
        return selected

    return _fork(name, "Map", fields, [table], (begin, prepare))


def _items(fields: Fields) -> Reader:
    """Compile the items of a Map: ``ItemsPath``, in JSONata ``Items``; by default its input."""
    if not fields.is_jsonata:
        return fields.path("ItemsPath")
    query = fields.query("Items", object, "array")
    if query is None:
        return lambda data, _scope: data
    return lambda data, scope: query({"input": data}, scope)


class _ItemScope:
    """The scope of an ItemSelector: the Map state's scope with the item in the context object."""

    def __init__(self, frame: Frame, item: dict[str, JSON]) -> None:
        self.frame = frame
        self.item = item
        self.variables = frame.variables
        self.random = frame.random
        self.now = frame.now

    @property
    def context(self) -> JSON:
        return {**self.frame.context, "Map": {"Item": self.item}}


def _tolerated(fields: Fields) -> Callable[[JSON, Scope, int], float]:
    """Compile the number of iterations that may fail: the lesser of the count and the share."""
    count = fields.setting("ToleratedFailureCount", None, (0, float("inf")))
    refusal = "{field} must be between 0 and 100."
    field = "ToleratedFailurePercentage"
    percentage = fields.setting(field, None, (0, 100), (int, float), refusal)

    def tolerated(data: JSON, scope: Scope, items: int) -> float:
        most, share = count(data, scope), percentage(data, scope)
        limits = [] if most is None else [most]
        return min(limits if share is None else [*limits, items * share / 100], default=0)

    return tolerated


def _fork(
    name: str, kind: str, fields: Fields, tables: Sequence[StateTable], plan: tuple[Begin, Prepare]
) -> State:
    """Compile a state with children from ``begin``, which sizes its results, and ``prepare``.

    ``prepare`` returns the input of a child.
    """
    begin, prepare = plan
    succeed = compile_succeed(fields)
    is_map = kind == "Map"

    def enter(advance: "Advance", frame: Frame) -> None:
        frame.started = frame.failed = 0
        frame.results, frame.unfinished, frame.again = [], {}, []
        begin(advance, frame)
        proceed(advance, frame)
        if not is_map:  # all branches have received it
            frame.request = None

    def proceed(advance: "Advance", frame: Frame) -> None:
        redrive.run_children_again(advance, frame, prepare)
        while frame.started < len(frame.results) and len(frame.children) < frame.limit:
            child = frame.fork(frame.started)
            frame.started += 1
            child.input = prepare(frame, child)
            if is_map:
                advance.record(child, "MapIterationStarted", _iteration(name, child))
            advance.ready.append(child)
        if not frame.children and frame.started == len(frame.results):
            frame.map_source = frame.request = None
            frame.unfinished = {}  # failures that are tolerated
            advance.record(frame, f"{kind}StateSucceeded", {})
            succeed(advance, frame, frame.results)

    def on_child_end(advance: "Advance", frame: Frame, child: Frame, outcome: JSON) -> None:
        failed = isinstance(outcome, StateFailure)
        if is_map:
            kind_of_end = "MapIterationFailed" if failed else "MapIterationSucceeded"
            frame.last_id = advance.record(child, kind_of_end, _iteration(name, child))
        if failed and _exceeds(frame, child):
            advance.fail(frame, _exceeded() if frame.tolerated else outcome)
            return
        frame.results[child.index] = outcome.as_output() if failed else outcome
        proceed(advance, frame)

    retriers, catchers = compile_retriers(fields), compile_catchers(fields)
    actions = (enter, None, on_child_end, redrive.of_children(enter, proceed))
    return State(name, kind, *actions, retriers, catchers, tables)


def _exceeds(frame: Frame, failed: Frame) -> bool:
    """Note a failed child; return whether more have failed than the state tolerates."""
    frame.failed += 1
    frame.unfinished[failed.index] = failed
    return frame.failed > frame.tolerated


def _iteration(name: str, child: Frame) -> dict[str, JSON]:
    return {"name": name, "index": child.index}


def _exceeded() -> StateFailure:
    problem = "The specified tolerated failure threshold was exceeded"
    return StateFailure(EXCEED_TOLERATED_FAILURE_THRESHOLD, problem)
