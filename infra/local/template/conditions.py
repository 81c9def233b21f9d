"""The conditions of a template, and the values that depend on them.

Source: AWS CloudFormation Template Reference, "Condition functions".
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

NO_VALUE = {"Ref": "AWS::NoValue"}
"""A property or an entry of a list that is left out."""

Resolve = Callable[[Any, str], Any]


class Conditions:
    """The conditions of one template.

    Parameters
    ----------
    declared : Mapping[str, Any]
        The section ``Conditions``.
    resolve : callable
        ``(value, place) -> value``: replaces references.
    """

    def __init__(self, declared: Mapping[str, Any], resolve: Resolve) -> None:
        self._declared = declared
        self._resolve = resolve
        self._entered: list[str] = []

    def chosen(self, value: Any, place: str) -> Any:
        """Return the branch that an ``Fn::If`` in a value chooses; `NO_VALUE` may be it.

        Raises
        ------
        ValueError
            The message says what is malformed, or which condition does not exist.
        """
        while isinstance(value, Mapping) and value.keys() == {"Fn::If"}:
            arguments = value["Fn::If"]
            if not isinstance(arguments, Sequence) or len(arguments) != 3:  # noqa: PLR2004
                raise ValueError("Fn::If has no condition and two values")
            value = arguments[1] if self.is_met(arguments[0], place) else arguments[2]
        return value

    def is_met(self, name: Any, place: str) -> bool:
        """Return whether a named condition is met; raise `ValueError` if there is none."""
        if name not in self._declared:
            raise ValueError(f"refers to the condition {name!r}, which the template does not have")
        if name in self._entered:
            raise ValueError(f"the condition {name} refers to itself")
        self._entered.append(name)
        try:
            return self._evaluate(self._declared[name], place)
        finally:
            self._entered.pop()

    def _evaluate(self, condition: Any, place: str) -> bool:
        if isinstance(condition, Mapping) and len(condition) == 1:
            [(function, arguments)] = condition.items()
            if function == "Condition":
                return self.is_met(arguments, place)
            if function == "Fn::Equals":
                left, right = (str(self._resolve(one, place)) for one in arguments)
                return left == right
            if function == "Fn::Not":
                [inner] = arguments
                return not self._evaluate(inner, place)
            if function in ("Fn::And", "Fn::Or"):
                combine = all if function == "Fn::And" else any
                return combine([self._evaluate(inner, place) for inner in arguments])
        raise ValueError(f"{condition!r} is not supported as a condition on one machine")
