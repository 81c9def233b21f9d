"""The function calls of a turn: made after its commit, answered in a later turn."""

from typing import Any

from infra.local.directory.crash_marker import CrashMarker, ItemIds
from infra.local.template.stack import Stack
from infra.local.workers.invocations import Invocation, Invoker, OnResult
from kernel import json_text


class FunctionCalls:
    """The function calls of one engine.

    Parameters
    ----------
    stack : Stack
        The stack with the functions.
    invoker : Invoker
        The port that runs them.
    marker : CrashMarker
        Names the current item, to which a call belongs.
    """

    def __init__(self, stack: Stack, invoker: Invoker, marker: CrashMarker) -> None:
        self.stack = stack
        self.invoker = invoker
        self.marker = marker
        self.waiting: dict[int, OnResult] = {}
        self.pending: list[Invocation] = []
        self._count = 0

    def invoke(
        self, function: str, payload: Any, done: OnResult, item: ItemIds | None = None
    ) -> int:
        """Call a function after the commit; ``done`` gets the result in a later turn.

        ``item`` is the item to which the call belongs, if it is not the current one. Return the
        invocation's id.
        """
        text = json_text.write(payload)
        self._count += 1
        self.waiting[self._count] = done
        described = self.stack.functions[function]
        self.pending.append(Invocation(self._count, described, text, item or self.marker.current))
        return self._count

    def __bool__(self) -> bool:
        return bool(self.pending)

    def mark(self) -> int:
        """Return the number of the turn's calls so far, for `rewind`."""
        return len(self.pending)

    def rewind(self, mark: int) -> None:
        """Drop the calls that were added since a mark."""
        for invocation in self.pending[mark:]:
            del self.waiting[invocation.id]
        del self.pending[mark:]

    def submit(self) -> None:
        """Submit the committed turn's calls to the invoker."""
        pending, self.pending = self.pending, []
        for invocation in pending:
            self.invoker.submit(invocation)
