"""Which orders a list has, and in which order: the same for a data directory and a stack."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from infra.errors import Refusal
from kernel.order_record import OrderRecord
from kernel.order_status import ENDED

Condition = tuple[str, list[object]]
"""A condition of SQL, and its parameters."""


class InvalidCursor(Refusal):
    """A cursor is not one that a list has given."""


class ListOrder(StrEnum):
    """The order of a list: by arrival, or by the last change, the latest first."""

    NEWEST = "newest"
    OLDEST = "oldest"
    UPDATED = "updated"


_TEXTS = (
    "customer_id",
    "email",
    "tracking_number",
    "failure_message",
    "cancel_reason",
)
"""Fields of a record that are searched for a text, besides its id."""


@dataclass(frozen=True, slots=True)
class OrderFilter:
    """The conditions of a list; one that is not set matches every order.

    Parameters
    ----------
    statuses
        Any of them.
    reason
        Reason of the failure or of the wait, such as ``OutOfStock``; case does not matter.
    since, until
        Bounds of the arrival in epoch seconds, the second exclusive; with `ListOrder.UPDATED`
        bounds of the last change.
    text
        Part of the id, the customer, the e-mail address, the tracking number, the message of a
        failure or the reason of a cancellation; the case of ASCII letters does not matter.
    after
        The cursor of the order after which the list begins (`cursor_of`).
    """

    statuses: frozenset[str] = frozenset()
    reason: str | None = None
    customer: str | None = None
    sku: str | None = None
    text: str | None = None
    since: float | None = None
    until: float | None = None
    order: ListOrder = ListOrder.NEWEST
    after: str | None = None
    limit: int = 20

    @property
    def time(self) -> str:
        """The field of the time that orders the list."""
        return "updated_at" if self.order is ListOrder.UPDATED else "created_at"

    @property
    def is_ascending(self) -> bool:
        """Whether the earliest is first."""
        return self.order is ListOrder.OLDEST

    def key(self, record: OrderRecord) -> tuple[float, str]:
        """Return the place of a record in the list."""
        return getattr(record, self.time), record.order_id

    def cursor_of(self, record: OrderRecord) -> str:
        """Return the cursor after which a list continues."""
        return cursor(*self.key(record))

    def place(self) -> tuple[float, str] | None:
        """Return the place of the cursor.

        Raises
        ------
        InvalidCursor
            The cursor is not one of a list.
        """
        if self.after is None:
            return None
        time, colon, order_id = self.after.partition(":")
        try:
            return float(time), order_id if colon else ""
        except ValueError:
            raise InvalidCursor(
                f"--after: {self.after!r} is no cursor; take `next` of the list before"
            ) from None

    def matches(self, record: OrderRecord) -> bool:
        """Return whether a record is in the list, the limit aside."""
        time, place = getattr(record, self.time), self.place()
        if place is not None:
            key = self.key(record)
            if not (key > place if self.is_ascending else key < place):
                return False
        return (
            (not self.statuses or record.status in self.statuses)
            and (self.reason is None or _folded(self.reason) in _reasons(record))
            and self.customer in (None, record.customer_id)
            and (self.sku is None or self.sku in record.demand)
            and (self.since is None or time >= self.since)
            and (self.until is None or time < self.until)
            and (self.text is None or _folded(self.text) in _folded(_text_of(record)))
        )

    def query(self, last: tuple[float, str] | None = None) -> tuple[str, list[object]]:
        """Return the SQL after ``select … from orders``, and its parameters.

        ``last`` is the last place that is searched, of `end_of_search`.
        """
        conditions = [*self._indexed(), *self._tested()]
        if last is not None:
            sign = "<=" if self.is_ascending else ">="
            conditions.append((f"({self.time}, order_id) {sign} (?, ?)", [*last]))
        hint = " indexed by orders_in_flight" if self._only_open else ""
        # without an end, a table scan finds few orders faster than an index whose rows are all read
        time = f"+{self.time}" if last is None and self._is_selective else self.time
        where, values = _where(conditions)
        return f"{hint}{where}{self._ordered(time)} limit ?", [*values, self.limit + 1]

    def end_of_search(self, number: int) -> tuple[str, list[object]] | None:
        """Return the SQL of the last of a number of searched orders, as `query` does.

        The index alone is read. None: the search needs no end, as it reads few orders.
        """
        if self._only_open or not self._is_searched:
            return None
        where, values = _where(self._indexed())
        return f"{where}{self._ordered(self.time)} limit 1 offset ?", [*values, number - 1]

    def _ordered(self, time: str) -> str:
        direction = "asc" if self.is_ascending else "desc"
        return f" order by {time} {direction}, order_id {direction}"

    @property
    def _only_open(self) -> bool:
        return bool(self.statuses) and not self.statuses & ENDED

    @property
    def _is_selective(self) -> bool:
        """Whether few of all orders match; a customer has an index of its own."""
        if self.customer is not None:
            return False
        rare = bool(self.statuses) and "COMPLETED" not in self.statuses
        return rare or self.reason is not None or self.text is not None or self.sku is not None

    @property
    def _is_searched(self) -> bool:
        """Whether a condition has no index."""
        return next(self._tested(), None) is not None

    def _indexed(self) -> Iterator[Condition]:
        """Yield the conditions that an index of the time has."""
        if self.customer is not None:
            yield "customer_id = ?", [self.customer]
        if self.since is not None:
            yield f"{self.time} >= ?", [self.since]
        if self.until is not None:
            yield f"{self.time} < ?", [self.until]
        place = self.place()
        if place is not None:
            sign = ">" if self.is_ascending else "<"
            yield f"({self.time}, order_id) {sign} (?, ?)", [*place]

    def _tested(self) -> Iterator[Condition]:
        """Yield the conditions that each order is tested for."""
        if self._only_open:
            yield "in_flight = 1", []
        if self.statuses:
            marks = ", ".join("?" * len(self.statuses))
            yield f"status in ({marks})", [*sorted(self.statuses)]
        if self.reason is not None:
            yield (
                "lower(?) in (lower(failure), iif(status = 'WAITING', lower(waiting_for), null))",
                [self.reason],
            )
        if self.sku is not None:  # an item's only text is its SKU
            yield "instr(items, ?) > 0", [json.dumps(self.sku, ensure_ascii=False)]
        if self.text is not None:
            names = ("order_id", *_TEXTS)
            likes = " or ".join(f"{name} like ? escape '\\'" for name in names)
            yield f"({likes})", [_pattern(self.text)] * len(names)


def cursor(time: float, order_id: str) -> str:
    """Return the cursor of a place in a list."""
    return f"{time!r}:{order_id}"


def _where(conditions: Iterable[Condition]) -> tuple[str, list[object]]:
    """Return a WHERE clause, and its parameters."""
    parts, values = [], list[object]()
    for part, more in conditions:
        parts.append(part)
        values += more
    return f" where {' and '.join(parts)}" if parts else "", values


def _reasons(record: OrderRecord) -> set[str]:
    waiting = record.waiting_for if record.status == "WAITING" else None
    return {_folded(reason) for reason in (record.failure, waiting) if reason}


def _text_of(record: OrderRecord) -> str:
    """Return the searched texts, with a separator that no text contains."""
    return "\0".join([record.order_id, *(getattr(record, name) or "" for name in _TEXTS)])


def _pattern(text: str) -> str:
    """Return the pattern of ``like`` for text that is contained."""
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"


def _folded(text: str) -> str:
    """Return text with the ASCII letters in lower case, as SQLite's ``like`` does."""
    return "".join(letter.lower() if letter.isascii() else letter for letter in text)
