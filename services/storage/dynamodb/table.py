"""One DynamoDB table: conditional writes, transactions and queries."""

import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cache, partial
from typing import Any
from urllib.parse import urlsplit

from kernel.errors import InvalidSettings, StoreError, VersionConflict
from lambda_support import aws
from storage.dynamodb.attributes import from_item, to_attribute

INDEX, DUE = "open", "due"
"""The table's indexes: of ``gpk`` and ``gsk``, and of ``dp`` and ``due``."""

CONTENTION_RETRIES = 6
FIRST_WAIT, LONGEST_WAIT = 0.02, 0.4
"""Seconds of backoff, with full jitter, before a write that met a transaction is retried."""

_BATCH = 100
"""Keys of one BatchGetItem (Service quotas)."""

MAX_PK, MAX_SK = 2_048, 1_024
"""Maximum bytes of a partition key and of a sort key (Constraints in Amazon DynamoDB)."""

_CONFLICTS = frozenset(
    {
        "ProvisionedThroughputExceeded",
        "ThrottlingError",
        "TransactionConflict",
        "TransactionConflictException",
    }
)

Item = dict[str, Any]


class ConditionFailed(Exception):
    """A condition of a write failed, so nothing was written.

    Attributes
    ----------
    stored : Mapping[int, Item | None]
        The stored item of each update whose condition failed (``None``: there is none), by the
        update's position in the call.
    """

    def __init__(self, stored: Mapping[int, Item | None]) -> None:
        super().__init__(f"conditions failed: {sorted(stored)}")
        self.stored = stored


class Contended(VersionConflict):
    """Another transaction or a full partition refused a write; nothing was written.

    Attributes
    ----------
    positions : frozenset[int]
        The positions of the refused updates in the call.
    """

    def __init__(self, positions: frozenset[int]) -> None:
        super().__init__(f"other writers change the items at {sorted(positions)}")
        self.positions = positions


class Update:
    """A conditional write to one item, built clause by clause."""

    verb = "Update"

    def __init__(self, pk: str, sk: str) -> None:
        self._key = {"pk": to_attribute(pk), "sk": to_attribute(sk)}
        self._names: dict[str, str] = {}
        self._values: dict[str, Any] = {}
        self._sets: list[str] = []
        self._removes: list[str] = []
        self._conditions: list[str] = []

    def name(self, attribute: str) -> str:
        """Return the placeholder of an attribute name or of a map's key."""
        return self._names.setdefault(attribute, f"#n{len(self._names)}")

    def value(self, value: object) -> str:
        """Return a placeholder of a value."""
        placeholder = f":v{len(self._values)}"
        self._values[placeholder] = to_attribute(value)
        return placeholder

    def put(self, **attributes: object) -> None:
        """Set attributes to values."""
        for attribute, value in attributes.items():
            self._sets.append(f"{self.name(attribute)} = {self.value(value)}")

    def set(self, path: str, expression: str) -> None:
        """Set a path to an expression; both consist of placeholders."""
        self._sets.append(f"{path} = {expression}")

    def add(self, attribute: str, number: int) -> None:
        """Add to a number; a missing attribute counts as 0."""
        path = self.name(attribute)
        start, step = self.value(0), self.value(number)
        self.set(path, f"if_not_exists({path}, {start}) + {step}")

    def remove(self, *attributes: str) -> None:
        """Remove attributes."""
        self._removes += [self.name(attribute) for attribute in attributes]

    def remove_path(self, path: str) -> None:
        """Remove a path that consists of placeholders."""
        self._removes.append(path)

    def when(self, condition: str) -> None:
        """Add a condition; the write needs all of them to hold."""
        self._conditions.append(condition)

    def if_absent(self) -> None:
        """Require that the item does not exist."""
        self.when(f"attribute_not_exists({self.name('pk')})")

    def if_present(self) -> None:
        """Require that the item exists."""
        self.when(f"attribute_exists({self.name('pk')})")

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of UpdateItem, or of an ``Update`` in TransactWriteItems."""
        clauses = [
            f"{verb} {', '.join(parts)}"
            for verb, parts in (("SET", self._sets), ("REMOVE", self._removes))
            if parts
        ]
        arguments: dict[str, Any] = {
            "Key": self._key,
            "UpdateExpression": " ".join(clauses),
            "ExpressionAttributeNames": {mark: name for name, mark in self._names.items()},
        }
        if self._values:
            arguments["ExpressionAttributeValues"] = self._values
        if self._conditions:
            arguments["ConditionExpression"] = " AND ".join(self._conditions)
            arguments["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
        return arguments


class Removal:
    """A conditional removal of one item within a transaction.

    Its key and conditions are those of an update that is not itself written.
    """

    verb = "Delete"

    def __init__(self, conditions: Update) -> None:
        self._conditions = conditions

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of a ``Delete`` in TransactWriteItems."""
        arguments = self._conditions.arguments()
        del arguments["UpdateExpression"]
        return arguments


class Table:
    """One DynamoDB table; the first call creates its client.

    Every method raises `StoreError` if DynamoDB refuses the request or does not answer.
    """

    def __init__(
        self,
        name: str,
        client: Callable[[], Any] = lambda: aws.client("dynamodb"),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.name = name
        self._client = client
        self._sleep = sleep

    def get(self, pk: str, sk: str) -> Item | None:
        """Return an item by a consistent read, or ``None``, as for a key that is too long."""
        if len(pk.encode(errors="replace")) > MAX_PK or len(sk.encode(errors="replace")) > MAX_SK:
            return None
        key = {"pk": to_attribute(pk), "sk": to_attribute(sk)}
        item = self._call("get_item", Key=key, ConsistentRead=True).get("Item")
        return None if item is None else from_item(item)

    def get_all(self, keys: Iterable[tuple[str, str]], *, consistent: bool = False) -> list[Item]:
        """Return the items that exist under these keys, in no order.

        A read that is not ``consistent`` may miss the latest writes.
        """
        pending = [
            {"pk": to_attribute(pk), "sk": to_attribute(sk)} for pk, sk in dict.fromkeys(keys)
        ]
        items: list[Item] = []
        throttled = 0
        while pending:
            batch, pending = pending[:_BATCH], pending[_BATCH:]
            with self._translate_errors():
                request = {"Keys": batch, "ConsistentRead": consistent}
                answer = self._client().batch_get_item(RequestItems={self.name: request})
            items += [from_item(item) for item in answer["Responses"].get(self.name, [])]
            unprocessed = answer.get("UnprocessedKeys", {}).get(self.name, {}).get("Keys", [])
            if unprocessed:
                throttled += 1
                if throttled > CONTENTION_RETRIES:
                    raise StoreError(f"the DynamoDB table {self.name} throttles the reads")
                self._sleep(_backoff(throttled))
                pending += unprocessed
        return items

    def query(
        self,
        condition: str,
        *,
        index: str = INDEX,
        backwards: bool = False,
        limit: int | None = None,
        **values: str | float,
    ) -> Iterator[Item]:
        """Yield the keys of index entries; ``condition`` has ``:name`` for each value."""
        request: dict[str, Any] = {
            "IndexName": index,
            "KeyConditionExpression": condition,
            "ExpressionAttributeValues": {f":{k}": to_attribute(v) for k, v in values.items()},
            "ScanIndexForward": not backwards,
        }
        if limit is not None:
            request["Limit"] = limit
        return self._pages("query", request, limit)

    def collection(self, pk: str, limit: int | None = None) -> list[Item]:
        """Return the first items of one partition key, or all, by a consistent read."""
        request: dict[str, Any] = {
            "KeyConditionExpression": "pk = :pk",
            "ExpressionAttributeValues": {":pk": to_attribute(pk)},
            "ConsistentRead": True,
        }
        if limit is not None:
            request["Limit"] = limit
        return list(self._pages("query", request, limit))

    def scan(self) -> Iterator[Item]:
        """Yield every item of the table."""
        return self._pages("scan", {"ConsistentRead": True}, None)

    def write(self, *updates: "Update | Removal", attempt: int | None = None) -> None:
        """Write these items, all or none: one by UpdateItem, several in a transaction.

        Parameters
        ----------
        attempt
            The number of the caller's earlier attempts, if the caller itself retries: the write is
            tried once, and a conflict waits with the backoff of that attempt before it is raised.

        Raises
        ------
        ConditionFailed
            A condition failed.
        VersionConflict
            Transactions on the same items conflicted with every attempt.
        Contended
            One attempt conflicted.
        """
        if len(updates) == 1 and isinstance(updates[0], Update):
            arguments = {"TableName": self.name, **updates[0].arguments()}
            request = partial(self._client().update_item, **arguments)
        else:
            items = [{each.verb: {"TableName": self.name, **each.arguments()}} for each in updates]
            request = partial(self._client().transact_write_items, TransactItems=items)
        if attempt is None:
            self._retry_conflicts(request)
        else:
            self._send(request, attempt)

    def change(self, update: Update) -> Item:
        """Write one item and return its new state; raise the errors of `write`."""
        arguments = {"TableName": self.name, "ReturnValues": "ALL_NEW", **update.arguments()}
        answer = self._retry_conflicts(partial(self._client().update_item, **arguments))
        return from_item(answer.get("Attributes", {}))

    def delete(self, pk: str, sk: str) -> None:
        """Delete an item."""
        self._call("delete_item", Key={"pk": to_attribute(pk), "sk": to_attribute(sk)})

    def take(self, pk: str, sk: str) -> Item | None:
        """Delete an item and return it, or ``None``; of several callers one gets it."""
        key = {"pk": to_attribute(pk), "sk": to_attribute(sk)}
        item = self._call("delete_item", Key=key, ReturnValues="ALL_OLD").get("Attributes")
        return from_item(item) if item else None

    def _retry_conflicts(self, request: Callable[[], Any]) -> Any:
        """Send a write; retry it with backoff while it conflicts with a transaction."""
        for attempt in range(CONTENTION_RETRIES):
            with suppress(Contended):
                return self._send(request, attempt)
        raise VersionConflict(f"other writers keep changing these items of the table {self.name}")

    def _send(self, request: Callable[[], Any], attempt: int) -> Any:
        """Send a write once; wait after a conflict, and raise `Contended`."""
        from botocore.exceptions import ClientError

        with self._translate_errors():
            try:
                return request()
            except ClientError as error:
                stored = _failed_conditions(error.response)
                if stored:
                    raise ConditionFailed(stored) from None
                conflicts = _conflicts(error.response)
                if not conflicts:
                    raise
        self._sleep(_backoff(attempt))
        raise Contended(conflicts)

    def _call(self, operation: str, **request: Any) -> Any:
        with self._translate_errors():
            return getattr(self._client(), operation)(TableName=self.name, **request)

    def _pages(self, operation: str, request: dict[str, Any], limit: int | None) -> Iterator[Item]:
        taken = 0
        while True:
            answer = self._call(operation, **request)
            for item in answer["Items"]:
                yield from_item(item)
                taken += 1
                if limit is not None and taken >= limit:
                    return
            if "LastEvaluatedKey" not in answer:
                return
            request = {**request, "ExclusiveStartKey": answer["LastEvaluatedKey"]}

    def _translate_errors(self) -> Any:
        return aws.translate_errors(
            f"the DynamoDB table {self.name}",
            "deploy the stack in this region and account, or correct the table's name",
        )


@cache
def table(url: str) -> Table:
    """Return this process's one table for ``dynamodb://TABLE``; make no call to AWS.

    Raises
    ------
    InvalidSettings
        The URL has another form.
    """
    parts = urlsplit(url)
    if parts.scheme != "dynamodb" or not parts.netloc or parts.path.strip("/"):
        raise InvalidSettings(f"{url!r} is not of the form dynamodb://TABLE")
    return Table(parts.netloc)


def _failed_conditions(response: Mapping[str, Any]) -> dict[int, Item | None]:
    """Return the stored items whose conditions failed, by the position of the update."""
    if response["Error"]["Code"] == "ConditionalCheckFailedException":
        return {0: from_item(response.get("Item", {})) or None}
    return {
        position: from_item(reason.get("Item", {})) or None
        for position, reason in enumerate(response.get("CancellationReasons", []))
        if reason.get("Code") == "ConditionalCheckFailed"
    }


def _conflicts(response: Mapping[str, Any]) -> frozenset[int]:
    """Return the positions of the updates that conflicted; 0 for a single write."""
    if response["Error"]["Code"] in _CONFLICTS:
        return frozenset({0})
    reasons = enumerate(response.get("CancellationReasons", []))
    return frozenset(position for position, reason in reasons if reason.get("Code") in _CONFLICTS)


def _backoff(attempt: int) -> float:
    return random.uniform(0, min(LONGEST_WAIT, FIRST_WAIT * 2**attempt))  # noqa: S311 - jitter
