"""JSONPath as AWS has it, which is Jayway JsonPath, and reference paths.

A path starts at the state's data (`$`), at the context object (`$$`) or at a variable (`$name`).
Names and single indices are definite: they give one value or raise PathNotFoundError. All else
(`[*]`, slices, unions, `..`, filters) gives the list of what was found.
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
    """What an expression sees besides the state's data: variables, context object, chance."""

    variables: Mapping[str, JSON]

    @property
    def context(self) -> JSON: ...  # noqa: D102

    @property
    def random(self) -> Callable[[], float]: ...  # noqa: D102


Reader: TypeAlias = Callable[[JSON, Scope], JSON]
Put: TypeAlias = Callable[[JSON, JSON], JSON]
Failure: TypeAlias = Callable[[JSON, PathNotFoundError], Exception]
Key: TypeAlias = str | int
Step: TypeAlias = Callable[[Any], Iterable[JSON]]

_MAX_FOUND = 262_144
"""Values that a path may find; in 256 KiB of data only repeated `..` finds more."""

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
    """Compile a path to a function of the data and the scope; raises ExpressionError.

    Where a definite path meets nothing the function raises what `failure` makes of the value that
    was searched and of the PathNotFoundError, or that error itself.
    """
    root, steps = _parse(text)
    keys = [step for step in steps if isinstance(step, (str, int))]
    if len(keys) == len(steps):
        find = _definite(keys)
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
    """Compile a path to one place in the data to a function that puts a value there, in a copy.

    It makes objects that are missing on the way, and raises StateFailure where the data has no
    such place. Raises ExpressionError.
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
        found = _STEP.match(text, position)
        if found is None:
            raise ExpressionError(f"nothing is known as '{text[position:]}'")
        position, step = found.end(), _parse_step(found)
        if found["filter"]:
            predicate, position = parse_filter(text, position, compile_path)
            step = _filtered(predicate)
        if found["deep"]:
            step = _Descent(step if callable(step) else _pick([step]))
        steps.append(step)
    return root[1], steps


def _parse_step(found: re.Match[str]) -> Key | Step:
    if found["name"]:
        return found["name"]
    if found["keys"]:
        keys = [_parse_key(key) for key in re.findall(_KEY, found["keys"])]
        return keys[0] if len(keys) == 1 else _pick(keys)
    if found["slice"]:
        first, last = (int(bound) if bound else None for bound in found["slice"].split(":"))
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


def _missing(data: JSON, keys: list[Key]) -> PathNotFoundError:
    """Return the error whose text is made only for somebody who asks."""
    return PathNotFoundError(lambda: _not_found(data, keys))


def _not_found(value: JSON, keys: list[Key]) -> str:
    """Say as Jayway does what is missing, and whether the path ends there."""
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
        found: list[JSON] = [data]
        tree = None
        for step in steps:
            each = step
            if isinstance(step, _Descent):
                tree = tree or _Tree(data)
                each = step.within(tree)
            found = list(islice(chain.from_iterable(map(each, found)), _MAX_FOUND + 1))
            if len(found) > _MAX_FOUND:
                raise TerminalFailure(f"The path finds more than {_MAX_FOUND} values")
        return found

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
    """The objects and lists in some data, each before those within it."""

    def __init__(self, data: JSON) -> None:
        self.nodes: list[JSON] = []
        self.extents: dict[int, tuple[int, int]] = {}
        """By identity: where in `nodes` an object or list is, and where what it holds ends."""
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
    """A step taken from a node and from all within it (`..`), the outer ones first."""

    def __init__(self, step: Step) -> None:
        self.step = step

    def __call__(self, node: JSON) -> Iterable[JSON]:
        """Take the step from one node."""
        return self.within(_Tree(node))(node)

    def within(self, tree: _Tree) -> Step:
        """Return the step for nodes of one tree: it is taken once from each, however often asked.

        A descent may start at a node and at nodes within that one.
        """
        found: list[JSON] = []
        ends = [0]
        for node in tree.nodes:
            found += self.step(node)
            ends.append(len(found))

        def descend(node: JSON) -> Iterable[JSON]:
            if not isinstance(node, (dict, list)):
                return self.step(node)
            first, last = tree.extents[id(node)]
            return found[ends[first] : ends[last]]

        return descend
