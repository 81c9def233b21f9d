"""Access to the fields of a definition; each refusal names its location."""

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, TypeVar

from infra.asl.errors import DefinitionError, ExpressionError, QueryFailure, TerminalFailure
from infra.asl.expressions.paths import (
    Put,
    Reader,
    Scope,
    compile_path,
    compile_reference_path,
)
from infra.asl.expressions.payload import compile_template
from infra.asl.expressions.query import Query, compile_query, is_query
from infra.asl.expressions.values import JSON, to_plain_text

MAX_SECONDS = 99_999_999
_LANGUAGES = ("JSONPath", "JSONata")

T = TypeVar("T")
_TYPES: dict[type, str] = {str: "String", list: "Array", dict: "Object", bool: "Boolean"}


class Fields:
    """An object of a definition. It records which fields were read, and which states they name."""

    def __init__(
        self,
        value: JSON,
        place: str,
        targets: list[tuple[str, str]],
        language: str = "JSONPath",
    ) -> None:
        if not isinstance(value, Mapping):
            raise DefinitionError(place, "Expected value of type Object")
        self.value = value
        self.place = place
        self.targets = targets
        self.unread = set(value) - {"Comment", "QueryLanguage", "Type"}
        if not isinstance(value.get("Comment", ""), str):
            raise self.refuse("Expected value of type String", "Comment")
        own = value.get("QueryLanguage", language)
        if own not in _LANGUAGES:
            raise self.refuse(f"Value is not one of {', '.join(_LANGUAGES)}", "QueryLanguage")
        if own != language == "JSONata":
            problem = "A state of a JSONata state machine cannot use the query language JSONPath"
            raise self.refuse(problem)
        self.language = own
        self.is_jsonata = own == "JSONata"

    def __contains__(self, field: str) -> bool:
        return field in self.value

    def refuse(self, problem: str, field: str | None = None) -> DefinitionError:
        """Return the error to raise for a field, or for the object."""
        return DefinitionError(f"{self.place}/{field}" if field else self.place, problem)

    def refuse_unread(self) -> None:
        """Raise DefinitionError if a field was not read."""
        if self.unread:
            field = min(self.unread)
            suffix = " by the query language JSONata" if self.is_jsonata else ""
            raise self.refuse(f"Field '{field}' is not supported{suffix}")

    def get(self, field: str, kind: type[T], default: Any = None) -> T:
        """Return the value of an optional field."""
        self.unread.discard(field)
        value = self.value.get(field, default)
        if field in self.value and not isinstance(value, kind):
            raise self.refuse(f"Expected value of type {_TYPES[kind]}", field)
        return value  # type: ignore[no-any-return]

    def require(self, field: str, kind: type[T]) -> T:
        """Return the value of a field that must be present and not empty."""
        if field not in self.value:
            raise self.refuse(f"The field '{field}' is required but was missing")
        value = self.get(field, kind)
        if not value:
            raise self.refuse("The value must not be empty", field)
        return value

    def one_of(self, *fields: str) -> str | None:
        """Return the name of the field that is present, or None; two exclude each other."""
        present = [field for field in fields if field in self.value]
        self.unread.difference_update(fields)
        if len(present) > 1:
            both = " and ".join(f"'{field}'" for field in present)
            raise self.refuse(f"You cannot specify both {both}")
        return present[0] if present else None

    def number(
        self, field: str, default: Any, least: float, most: float, kinds: tuple[type, ...] = (int,)
    ) -> Any:
        """Return a number within bounds."""
        self.unread.discard(field)
        if field not in self.value:
            return default
        value = self.value[field]
        if type(value) not in kinds:
            raise self.refuse("Expected value of type Number", field)
        if not least <= value <= most:
            raise self.refuse(f"The value must be from {least} to {most}", field)
        return value

    def nested(self, field: str) -> "Fields":
        """Return the object in a required field."""
        return Fields(
            self.require(field, dict), f"{self.place}/{field}", self.targets, self.language
        )

    def each(self, field: str) -> "Iterator[Fields]":
        """Yield the objects of an array, none if it is absent."""
        for index, item in enumerate(self.get(field, list, [])):
            fields = Fields(item, f"{self.place}/{field}[{index}]", self.targets, self.language)
            yield fields
            fields.refuse_unread()

    def target(self, field: str) -> str:
        """Return the name of a successor state, and record it."""
        name = self.require(field, str)
        self.targets.append((f"{self.place}/{field}", name))
        return name

    def template(self, field: str, kind: type[Any] = object) -> Reader | None:
        """Compile a payload template, or in JSONata a value whose expressions read the input."""
        if self.is_jsonata:
            query = self.query(field, kind)
            return query and (lambda data, scope: query({"input": data}, scope))
        value: JSON = self.get(field, kind)
        return compile_template(value, f"{self.place}/{field}") if field in self.value else None

    def query(
        self,
        field: str,
        kind: type[Any] = object,
        expected: str | None = None,
        known: Collection[str] = (),
    ) -> Query | None:
        """Compile a JSONata value, whose expressions read ``$states``; None if it is absent.

        ``known`` are those of ``result`` and ``errorOutput`` that the expressions may read.
        """
        value: JSON = self.get(field, kind)
        if field not in self.value:
            return None
        return compile_query(value, field, f"{self.place}/{field}", expected, known)

    def queried(self, field: str, expected: str) -> Query | None:
        """Compile a JSONata expression; return None if the field is absent or a literal."""
        if not (self.is_jsonata and is_query(self.value.get(field))):
            return None
        return self.query(field, str, expected)

    def arguments(self) -> Reader | None:
        """Compile ``Parameters``, which is ``Arguments`` in JSONata."""
        return self.template("Arguments" if self.is_jsonata else "Parameters")

    def path(self, field: str, missing: str | None = None) -> Reader:
        """Compile a path: ``$`` if it is absent, an empty object if it is null.

        A path that selects nothing raises TerminalFailure, with ``missing`` or Jayway's reason.
        """
        if self.is_jsonata:  # it has no paths; such a field stays unread, and is refused
            return lambda data, _scope: data
        self.unread.discard(field)
        text = self.value.get(field, "$")
        if text is None:
            return lambda _data, _scope: {}

        def failure(_searched: JSON, error: Exception) -> TerminalFailure:
            return TerminalFailure(missing or f"Invalid path '{text}' : {error}")

        return self._compiled(field, lambda path: compile_path(path, failure))

    def result_path(self) -> Put:
        """Compile ``ResultPath``, which puts a state's result into its input."""
        self.unread.discard("ResultPath")
        if self.value.get("ResultPath", "$") is None:
            return lambda data, _result: data
        return self._compiled("ResultPath", compile_reference_path)

    def _compiled(self, field: str, compile_text: Callable[[str], T]) -> T:
        try:
            return compile_text(self.value.get(field, "$"))
        except ExpressionError as error:
            raise self.refuse(f"Value is not a Reference Path: {error}", field) from error

    def setting(
        self,
        field: str,
        default: Any,
        bounds: tuple[float, float],
        kinds: tuple[type, ...] = (int,),
        refusal: str = "{field} must be from {least} to {most}.",
    ) -> Callable[[JSON, Scope], Any]:
        """Compile a number within bounds that a path may provide (``MaxConcurrencyPath``)."""
        path, (least, most) = f"{field}Path", bounds
        query = self.queried(field, "number")
        if query is not None:
            return _queried_setting(query, field, bounds, kinds, refusal)
        if self.is_jsonata:
            number = self.number(field, default, least, most, kinds)
            return lambda _data, _scope: number
        if self.one_of(field, path) != path:
            number = self.number(field, default, least, most, kinds)
            return lambda _data, _scope: number
        read, text = self.path(path), self.value[path]

        def read_number(data: JSON, scope: Scope) -> Any:
            value = read(data, scope)
            if type(value) not in kinds:
                shown = f'"{to_plain_text(value)}"'
                problem = f"refers to value {shown} which is not a valid integer: {text}"
                raise TerminalFailure(f"The {path} field {problem}")
            if not least <= value <= most:
                names = {"field": field, "least": least, "most": most, "value": value}
                raise TerminalFailure(refusal.format_map(names))
            return value

        return read_number


def _queried_setting(
    query: Query,
    field: str,
    bounds: tuple[float, float],
    kinds: tuple[type, ...],
    refusal: str,
) -> Callable[[JSON, Scope], Any]:
    """Return the reader of a number within bounds that a JSONata expression provides."""
    least, most = bounds

    def read_number(data: JSON, scope: Scope) -> Any:
        value = query({"input": data}, scope)
        if type(value) not in kinds:
            raise QueryFailure(f"The {field} field cannot be parsed as an integer: {value}")
        if not least <= value <= most:
            names = {"field": field, "least": least, "most": most, "value": value}
            raise QueryFailure(refusal.format_map(names))
        return value

    return read_number
