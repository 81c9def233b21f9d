"""JSONPath as AWS implements it, which is Jayway JsonPath, and reference paths.

A path starts at the state's data (``$``), the context object (``$$``) or a variable (``$name``).
Names and single indices are definite: they select one value or raise PathNotFoundError. Several
names at the end (``['a','b']``) select one object with these fields. All other steps (``[*]``,
slices, unions, ``..``, filters) give the list of selected values.
Source: "Paths" in the Amazon States Language; github.com/json-path/JsonPath.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain, islice
from typing import Any, Protocol, TypeAlias

from infra.asl.errors import (
    RESULT_PATH_MATCH_FAILURE,
    ExpressionError,
    PathNotFoundError,
    StateFailure,
    TerminalFailure,
)
from infra.asl.expressions.filters import parse_filter
from infra.asl.expressions.values import JSON, to_json_text
from kernel.json_text import MAX_DEPTH


class Scope(Protocol):
    """An expression's inputs other than the state's data: variables, context object, chance."""

    variables: Mapping[str, JSON]

    @property
    def context(self) -> JSON: ...  # noqa: D102

    @property
    def now(self) -> float: ...  # noqa: D102

    @property
    def random(self) -> Callable[[], float]: ...  # noqa: D102


Reader: TypeAlias = Callable[[JSON, Scope], JSON]
Put: TypeAlias = Callable[[JSON, JSON], JSON]
Failure: TypeAlias = Callable[[JSON, PathNotFoundError], Exception]
Key: TypeAlias = str | int
Step: TypeAlias = Callable[[Any], Iterable[JSON]]

_MAX_SELECTED = 262_144
"""Maximum number of values that a path selects; in 256 KiB of data only repeated ``..`` selects
more."""

_ROOT = re.compile(r"\$(\$|[^\W\d]\w*)?")
_KEY = r"""(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|-?\d+)"""
_STEP = re.compile(
    rf"""(?P<deep>\.(?=\.))?
    (?: (?P<all>\.\*|\.?\[\*\])
      | \.(?P<name>[^\s.\[\](),*]+)
      | \.?\[(?P<keys>{_KEY}(?:\s*,\s*{_KEY})*)\]
      | \.?\[(?P<slice>-?\d*:-?\d*)\]
      | \.?\[(?P<filter>\?\()
    )""",
    re.VERBOSE | re.DOTALL,
)


def compile_path(text: str, failure: Failure | None = None) -> Reader:
    """Compile a path to a function of the data and the scope.

    If a definite path selects nothing, the function raises ``failure(searched, error)``, with the
    searched value and the PathNotFoundError; without ``failure`` it raises that error.

    Raises
    ------
    ExpressionError
        The text is not a path.
    """
    root, steps = _parse(text)
    keys = [step for step in steps if isinstance(step, (str, int))]
    if len(keys) == len(steps):
        find = _definite(keys)
    elif len(keys) == len(steps) - 1 and isinstance(steps[-1], _Names):
        find = _definite_names(keys, steps[-1])
    else:
        find = _indefinite([step if callable(step) else _pick([step]) for step in steps])

    def read(data: JSON, scope: Scope) -> JSON:
        try:
            if root is None:
                return find(data)
            return find(scope.context if root == "$" else _variable(scope, root))
        except PathNotFoundError as error:
            if failure is None:
                raise
            searched = scope.context if root == "$" else data
            raise failure(searched, error) from error

    return read


def _variable(scope: Scope, name: str) -> JSON:
    if name not in scope.variables:
        raise PathNotFoundError(f"No variable is named '{name}'")
    return scope.variables[name]


def compile_reference_path(text: str) -> Put:
    """Compile a path to a single node to a function that puts a value there, in a copy.

    The function creates missing objects along the path. It raises StateFailure if the path does
    not fit the data.

    Raises
    ------
    ExpressionError
        The text is not a path to a single node of the state's data.
    """
    root, steps = _parse(text)
    if root is not None or any(map(callable, steps)):
        raise ExpressionError("it must lead to a single node of the state's data")
    if len(steps) > MAX_DEPTH:
        raise ExpressionError(f"it leads through more than {MAX_DEPTH} levels")

    def put(data: JSON, value: JSON) -> JSON:
        try:
            return _put(data, steps, value)
        except (LookupError, TypeError) as error:
            cause = f"Unable to apply ReferencePath {text} to input {to_json_text(data)}"
            raise StateFailure(RESULT_PATH_MATCH_FAILURE, cause) from error

    return put


def _put(node: JSON, keys: list[Any], value: JSON) -> JSON:
    if not keys:
        return value
    key, *below = keys
    if isinstance(key, str):
        return {**node, key: _put(dict(node).get(key, {}), below, value)}
    copy = [*node] if isinstance(node, list) else []
    copy[key] = _put(copy[key], below, value)
    return copy


def _parse(text: JSON) -> tuple[str | None, list[Key | Step]]:
    root = _ROOT.match(text) if isinstance(text, str) else None
    if root is None:
        raise ExpressionError("it must start with '$'")
    steps: list[Key | Step] = []
    position = root.end()
    while position < len(text):
        match = _STEP.match(text, position)
        if match is None:
            raise ExpressionError(f"'{text[position:]}' is not a valid step")
        position, step = match.end(), _parse_step(match)
        if match["filter"]:
            predicate, position = parse_filter(text, position, compile_path)
            step = _filtered(predicate)
        if match["deep"]:
            step = _Descent(step if callable(step) else _pick([step]))
        steps.append(step)
    for at, step in enumerate(steps[:-1]):
        names = step.step if isinstance(step, _Descent) else step
        if isinstance(names, _Names):  # with a step after it, the names are alternatives
            pick = _pick(names.names)
            steps[at] = _Descent(pick) if isinstance(step, _Descent) else pick
    if steps and isinstance(last := steps[-1], _Descent) and isinstance(last.step, _Names):
        last.step.is_complete = True
    return root[1], steps


def _parse_step(match: re.Match[str]) -> Key | Step:
    if match["name"]:
        return match["name"]
    if match["keys"]:
        keys = [_parse_key(key) for key in re.findall(_KEY, match["keys"])]
        if len(keys) > 1 and all(isinstance(key, str) for key in keys):
            return _Names(keys)
        return keys[0] if len(keys) == 1 else _pick(keys)
    if match["slice"]:
        first, last = (int(bound) if bound else None for bound in match["slice"].split(":"))
        return lambda node: node[first:last] if isinstance(node, list) else ()
    return _children


def _parse_key(text: str) -> Key:
    return text[1:-1].replace("\\'", "'") if text[0] in "'\"" else int(text)


def _definite(keys: list[Any]) -> Callable[[JSON], JSON]:
    def read(data: JSON) -> JSON:
        value = data
        try:
            for key in keys:
                if type(value) is not (dict if type(key) is str else list):
                    raise _missing(data, keys)
                value = value[key]
        except LookupError as error:
            raise _missing(data, keys) from error
        return value

    return read


class _Names:
    """Several names at the end of a path: one object with those fields that are present.

    Below ``..`` it selects from objects alone that have all of them.
    """

    def __init__(self, names: list[Key]) -> None:
        self.names = names
        self.is_complete = False

    def __call__(self, node: JSON) -> Iterable[JSON]:
        """Select one object from an object, nothing from another value."""
        if not isinstance(node, dict) or (self.is_complete and not node.keys() >= {*self.names}):
            return ()
        return ({name: node[name] for name in self.names if name in node},)


def _definite_names(keys: list[Any], names: _Names) -> Callable[[JSON], JSON]:
    find = _definite(keys)

    def read(data: JSON) -> JSON:
        for selected in names(find(data)):
            return selected
        raise _missing(data, [*keys, names.names[0]])

    return read


def _missing(data: JSON, keys: list[Key]) -> PathNotFoundError:
    """Return the error, whose message is composed on demand."""
    return PathNotFoundError(lambda: _not_found(data, keys))


def _not_found(value: JSON, keys: list[Key]) -> str:
    """Return Jayway's message, which names the missing step and whether the path ends there."""
    path = "$"
    for depth, key in enumerate(keys, 1):
        if isinstance(key, int) and not isinstance(value, list):
            shown = to_json_text(value)
            return f"Filter: [{key}] can only be applied to arrays. Current context is: {shown}"
        if isinstance(key, str) and not isinstance(value, dict):
            return f"Property ['{key}'] not found in path {path}"
        path += f"[{key!r}]"
        if isinstance(key, str) and key not in value and depth < len(keys):
            return f"Missing property in path {path}"
        value = next(iter(_pick([key])(value)), None)
    return f"No results for path: {path}"


def _indefinite(steps: list[Step]) -> Callable[[JSON], JSON]:
    def read(data: JSON) -> JSON:
        selected: list[JSON] = [data]
        tree = None
        for step in steps:
            each = step
            if isinstance(step, _Descent):
                tree = tree or _Tree(data)
                each = step.within(tree)
            selected = list(islice(chain.from_iterable(map(each, selected)), _MAX_SELECTED + 1))
            if len(selected) > _MAX_SELECTED:
                raise TerminalFailure(f"The path selects more than {_MAX_SELECTED} values")
        return selected

    return read


def _children(node: JSON) -> Iterable[JSON]:
    return node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()


def _pick(keys: list[Any]) -> Step:
    def pick(node: Any) -> Iterator[JSON]:
        for key in keys:
            if type(node) is (dict if type(key) is str else list):
                try:
                    yield node[key]
                except LookupError:
                    continue

    return pick


def _filtered(predicate: Callable[[JSON], bool]) -> Step:
    return lambda node: filter(predicate, node if isinstance(node, list) else [node])


class _Tree:
    """The objects and lists of some data in document order: each before its descendants."""

    def __init__(self, data: JSON) -> None:
        self.nodes: list[JSON] = []
        self.extents: dict[int, tuple[int, int]] = {}
        """By identity of an object or list: its index in ``nodes``, and the end of its
        descendants."""
        todo: list[tuple[JSON, int | None]] = [(data, None)]
        while todo:
            node, start = todo.pop()
            if start is not None:
                self.extents[id(node)] = (start, len(self.nodes))
            elif isinstance(node, (dict, list)):
                todo.append((node, len(self.nodes)))
                self.nodes.append(node)
                todo += [(child, None) for child in reversed([*_children(node)])]


class _Descent:
    """A step from a node and from all its descendants (``..``), the outer ones first."""

    def __init__(self, step: Step) -> None:
        self.step = step

    def __call__(self, node: JSON) -> Iterable[JSON]:
        """Apply the step to one node and its descendants."""
        return self.within(_Tree(node))(node)

    def within(self, tree: _Tree) -> Step:
        """Return the step for nodes of one tree.

        It is applied once to each node, although descents may start at a node and at its
        descendants.
        """
        selected: list[JSON] = []
        ends = [0]
        for node in tree.nodes:
            selected += self.step(node)
            ends.append(len(selected))

        def descend(node: JSON) -> Iterable[JSON]:
            if not isinstance(node, (dict, list)):
                return self.step(node)
            first, last = tree.extents[id(node)]
            return selected[ends[first] : ends[last]]

        return descend
