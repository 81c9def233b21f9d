"""Evaluate the conditions of a template.

Source: AWS CloudFormation User Guide, "Condition functions".
"""

from collections.abc import Callable, Mapping
from typing import Any

from infra.local.template.errors import TemplateError

Resolve = Callable[[Any, str], Any]

ABSENT = object()
"""The value of ``AWS::NoValue``: its property or list entry is left out."""


class Conditions:
    """The conditions of a template; ``resolve`` replaces the references in their values."""

    def __init__(self, declared: Mapping[str, Any], resolve: Resolve) -> None:
        self._declared = declared
        self._resolve = resolve
        self._open: list[str] = []

    def holds(self, name: str, place: str) -> bool:
        """Return whether a condition is true.

        Raises
        ------
        TemplateError
            The template has no such condition, or it is malformed or refers to itself.
        """
        if name not in self._declared:
            raise TemplateError(place, f"refers to the condition {name!r}, which does not exist")
        if name in self._open:
            raise TemplateError(f"Conditions.{name}", "refers to itself")
        self._open.append(name)
        try:
            return self._evaluate(self._declared[name], f"Conditions.{name}")
        finally:
            self._open.pop()

    def choose(self, argument: Any, place: str) -> Any:
        """Return the chosen branch of an ``Fn::If``."""
        if not isinstance(argument, list) or len(argument) != 3:  # noqa: PLR2004
            raise TemplateError(place, "Fn::If is no list of a condition and two values")
        name, then, otherwise = argument
        return then if self.holds(name, place) else otherwise

    def _evaluate(self, condition: Any, place: str) -> bool:
        if not isinstance(condition, Mapping) or len(condition) != 1:
            raise TemplateError(place, "is no condition")
        [(function, argument)] = condition.items()
        if function == "Condition":
            return self.holds(argument, place)
        if function == "Fn::Equals":
            left, right = (self._text(one, place) for one in argument)
            return left == right
        if function not in _COMBINATIONS:
            raise TemplateError(place, f"{function} is no condition function")
        return _COMBINATIONS[function](self._evaluate(one, place) for one in argument)

    def _text(self, value: Any, place: str) -> str:
        """Return a value as CloudFormation compares it: as text, a boolean in small letters."""
        resolved = self._resolve(value, place)
        return str(resolved).lower() if isinstance(resolved, bool) else str(resolved)


_COMBINATIONS: Mapping[str, Callable[[Any], bool]] = {
    "Fn::And": all,
    "Fn::Or": any,
    "Fn::Not": lambda values: not all(values),
}
