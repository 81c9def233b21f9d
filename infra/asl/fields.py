"""Access to the fields of a definition; each refusal names its location."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from infra.asl.errors import DefinitionError, ExpressionError, TerminalFailure
from infra.asl.expressions.paths import (
    Put,
    Reader,
    Scope,
    compile_path,
    compile_reference_path,
)
from infra.asl.expressions.payload import compile_template
from infra.asl.expressions.values import JSON, to_plain_text

MAX_SECONDS = 99_999_999

T = TypeVar("T")
_TYPES: dict[type, str] = {str: "String", list: "Array", dict: "Object", bool: "Boolean"}


class Fields:
    """An object of a definition. It records which fields were read, and which states they name."""

    def __init__(self, value: JSON, place: str, targets: list[tuple[str, str]]) -> None:
        if not isinstance(value, Mapping):
            raise DefinitionError(place, "Expected value of type Object")
        self.value = value
        self.place = place
        self.targets = targets
        self.unread = set(value) - {"Comment", "QueryLanguage", "Type"}
        if value.get("QueryLanguage", "JSONPath") != "JSONPath":
            problem = "Only the query language JSONPath is supported"
            raise self.refuse(problem, "QueryLanguage")

    def __contains__(self, field: str) -> bool:
        return field in self.value

    def refuse(self, problem: str, field: str | None = None) -> DefinitionError:
        """Return the error to raise for a field, or for the object."""
        return DefinitionError(f"{self.place}/{field}" if field else self.place, problem)

    def refuse_unread(self) -> None:
        """Raise DefinitionError if a field was not read."""
        if self.unread:
            raise self.refuse(f"Field '{min(self.unread)}' is not supported")

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
        return Fields(self.require(field, dict), f"{self.place}/{field}", self.targets)

    def each(self, field: str) -> "Iterator[Fields]":
        """Yield the objects of an array, none if it is absent."""
        for index, item in enumerate(self.get(field, list, [])):
            fields = Fields(item, f"{self.place}/{field}[{index}]", self.targets)
            yield fields
            fields.refuse_unread()

    def target(self, field: str) -> str:
        """Return the name of a successor state, and record it."""
        name = self.require(field, str)
        self.targets.append((f"{self.place}/{field}", name))
        return name

    def template(self, field: str, kind: type[Any] = object) -> Reader | None:
        """Compile a payload template."""
        value: JSON = self.get(field, kind)
        return compile_template(value, f"{self.place}/{field}") if field in self.value else None

    def path(self, field: str, missing: str | None = None) -> Reader:
        """Compile a path: ``$`` if it is absent, an empty object if it is null.

        A path that selects nothing raises TerminalFailure, with ``missing`` or Jayway's reason.
        """
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
