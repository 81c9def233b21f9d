"""The function calls that a turn asks for: made once it is committed, answered in a later turn."""

from typing import Any

from infra.local.directory.crash_marker import CrashMarker, Ids
from infra.local.template.stack import Stack
from infra.local.workers.invocations import Invocation, Invoker, OnResult
from kernel import json_text


class Calls:
    """The calls of one engine.

    Parameters
    ----------
    stack : Stack
        Whose functions are called.
    invoker : Invoker
        What runs them.
    marker : CrashMarker
        What item is handled; a call belongs to the item that asks for it.
    """

    def __init__(self, stack: Stack, invoker: Invoker, marker: CrashMarker) -> None:
        self.stack = stack
        self.invoker = invoker
        self.marker = marker
        self.waiting: dict[int, OnResult] = {}
        self.asked: list[Invocation] = []
        self._count = 0

    def invoke(self, function: str, payload: Any, done: OnResult, item: Ids | None = None) -> int:
        """Call a function once the turn is committed; ``done`` gets its result in a later turn.

        ``item`` is what the call belongs to once the turn is committed, if it is not the item that
        is handled now. Returns the invocation's id.
        """
        text = json_text.write(payload)
        self._count += 1
        self.waiting[self._count] = done
        described = self.stack.functions[function]
        belongs = item or self.marker.current
        self.asked.append(Invocation(self._count, described, text, belongs))
        return self._count

    def __bool__(self) -> bool:
        return bool(self.asked)

    def mark(self) -> int:
        """Return how many calls the turn asks for so far, for `rewind`."""
        return len(self.asked)

    def rewind(self, mark: int) -> None:
        """Drop the calls that were asked for since a mark."""
        for invocation in self.asked[mark:]:
            del self.waiting[invocation.id]
        del self.asked[mark:]

    def submit(self) -> None:
        """Hand the committed turn's calls to the invoker."""
        asked, self.asked = self.asked, []
        for invocation in asked:
            self.invoker.submit(invocation)
