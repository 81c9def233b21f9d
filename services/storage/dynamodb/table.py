"""One DynamoDB table: conditional writes, transactions and queries, each in a few words."""

import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache, partial
from typing import Any
from urllib.parse import urlsplit

from kernel.errors import InvalidSettings, StoreError, VersionConflict
from lambda_support import aws
from storage.dynamodb.attributes import from_item, to_attribute

INDEX = "open"
"""The table's one index, of ``gpk`` and ``gsk``."""

CONTENTION_RETRIES = 6
FIRST_WAIT, LONGEST_WAIT = 0.02, 0.4
"""Seconds, with full jitter, before a write is tried again that met a transaction on its way."""

_BATCH = 100
"""Keys of one BatchGetItem (Service quotas)."""

_CONTENDED = frozenset(
    {
        "ProvisionedThroughputExceeded",
        "ThrottlingError",
        "TransactionConflict",
        "TransactionConflictException",
    }
)

Item = dict[str, Any]


class Refused(Exception):
    """A condition did not hold, so nothing was written.

    ``standing`` has what stood there (`None`: nothing) of each update whose condition failed, by
    its place in the call.
    """

    def __init__(self, standing: Mapping[int, Item | None]) -> None:
        super().__init__(f"refused: {sorted(standing)}")
        self.standing = standing


class Update:
    """A conditional write to one item, put together clause by clause."""

    verb = "Update"

    def __init__(self, pk: str, sk: str) -> None:
        self._key = {"pk": to_attribute(pk), "sk": to_attribute(sk)}
        self._names: dict[str, str] = {}
        self._values: dict[str, Any] = {}
        self._sets: list[str] = []
        self._removes: list[str] = []
        self._conditions: list[str] = []

    def name(self, attribute: str) -> str:
        """Return the placeholder of an attribute's name, or of a map's key."""
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
        """Set a path to an expression, both of placeholders."""
        self._sets.append(f"{path} = {expression}")

    def add(self, attribute: str, number: int) -> None:
        """Add to a number, which is 0 where there is none."""
        named = self.name(attribute)
        start, step = self.value(0), self.value(number)
        self.set(named, f"if_not_exists({named}, {start}) + {step}")

    def remove(self, *attributes: str) -> None:
        """Remove attributes."""
        self._removes += [self.name(attribute) for attribute in attributes]

    def remove_path(self, path: str) -> None:
        """Remove a path of placeholders."""
        self._removes.append(path)

    def when(self, condition: str) -> None:
        """Write only if this holds, and all that was said before."""
        self._conditions.append(condition)

    def if_absent(self) -> None:
        """Write only if there is no such item."""
        self.when(f"attribute_not_exists({self.name('pk')})")

    def if_present(self) -> None:
        """Write only if there is such an item."""
        self.when(f"attribute_exists({self.name('pk')})")

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of UpdateItem, or of an update in a transaction."""
        clauses = [
            f"{verb} {', '.join(parts)}"
            for verb, parts in (("SET", self._sets), ("REMOVE", self._removes))
            if parts
        ]
        found: dict[str, Any] = {
            "Key": self._key,
            "UpdateExpression": " ".join(clauses),
            "ExpressionAttributeNames": {mark: name for name, mark in self._names.items()},
        }
        if self._values:
            found["ExpressionAttributeValues"] = self._values
        if self._conditions:
            found["ConditionExpression"] = " AND ".join(self._conditions)
            found["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
        return found


class Removal:
    """A removal of one item, on the conditions of an update that is not made; in transactions."""

    verb = "Delete"

    def __init__(self, conditions: Update) -> None:
        self._conditions = conditions

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of a removal in a transaction."""
        found = self._conditions.arguments()
        del found["UpdateExpression"]
        return found


class Table:
    """One DynamoDB table; its client is made when it is first needed.

    Every method raises `StoreError` where the table does not do what it was asked.
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
        """Return an item as it stands now."""
        key = {"pk": to_attribute(pk), "sk": to_attribute(sk)}
        found = self._call("get_item", Key=key, ConsistentRead=True).get("Item")
        return None if found is None else from_item(found)

    def get_all(self, keys: Iterable[tuple[str, str]], *, consistent: bool = False) -> list[Item]:
        """Return those of these items that are there, in no order.

        Unless the read is ``consistent``, they may be a moment old.
        """
        left = [{"pk": to_attribute(pk), "sk": to_attribute(sk)} for pk, sk in dict.fromkeys(keys)]
        found: list[Item] = []
        refusals = 0
        while left:
            asked, left = left[:_BATCH], left[_BATCH:]
            with self._translate_errors():
                request = {"Keys": asked, "ConsistentRead": consistent}
                answer = self._client().batch_get_item(RequestItems={self.name: request})
            found += [from_item(one) for one in answer["Responses"].get(self.name, [])]
            refused = answer.get("UnprocessedKeys", {}).get(self.name, {}).get("Keys", [])
            if refused:
                refusals += 1
                if refusals > CONTENTION_RETRIES:
                    raise StoreError(f"the DynamoDB table {self.name} is asked for too much")
                self._sleep(_wait(refusals))
                left += refused
        return found

    def query(
        self, condition: str, *, backwards: bool = False, limit: int | None = None, **values: str
    ) -> Iterator[Item]:
        """Return items of the index, keys only: ``condition`` has ``:name`` for each value."""
        request: dict[str, Any] = {
            "IndexName": INDEX,
            "KeyConditionExpression": condition,
            "ExpressionAttributeValues": {f":{k}": to_attribute(v) for k, v in values.items()},
            "ScanIndexForward": not backwards,
        }
        if limit is not None:
            request["Limit"] = limit
        return self._pages("query", request, limit)

    def collection(self, pk: str) -> list[Item]:
        """Return all items of one partition key as they stand now."""
        request = {
            "KeyConditionExpression": "pk = :pk",
            "ExpressionAttributeValues": {":pk": to_attribute(pk)},
            "ConsistentRead": True,
        }
        return list(self._pages("query", request, None))

    def scan(self) -> Iterator[Item]:
        """Return every item."""
        return self._pages("scan", {"ConsistentRead": True}, None)

    def write(self, *updates: "Update | Removal") -> None:
        """Write these items, all or none; with one of them it is no transaction.

        Raises
        ------
        Refused
            A condition did not hold.
        VersionConflict
            Others write the same items all the time.
        """
        if len(updates) == 1 and isinstance(updates[0], Update):
            only = {"TableName": self.name, **updates[0].arguments()}
            self._contend(partial(self._client().update_item, **only))
            return
        items = [{one.verb: {"TableName": self.name, **one.arguments()}} for one in updates]
        self._contend(partial(self._client().transact_write_items, TransactItems=items))

    def change(self, update: Update) -> Item:
        """Write one item and return it as it is then; it raises what `write` does."""
        arguments = {"TableName": self.name, "ReturnValues": "ALL_NEW", **update.arguments()}
        answer = self._contend(partial(self._client().update_item, **arguments))
        return from_item(answer.get("Attributes", {}))

    def delete(self, pk: str, sk: str) -> None:
        """Remove an item."""
        self._call("delete_item", Key={"pk": to_attribute(pk), "sk": to_attribute(sk)})

    def _contend(self, request: Callable[[], Any]) -> Any:
        """Send a write, again after a while where another's transaction was in its way."""
        from botocore.exceptions import ClientError

        for attempt in range(CONTENTION_RETRIES):
            with self._translate_errors():
                try:
                    return request()
                except ClientError as error:
                    standing = _standing(error.response)
                    if standing:
                        raise Refused(standing) from None
                    if not _contended(error.response):
                        raise
            self._sleep(_wait(attempt))
        raise VersionConflict(f"items of the table {self.name} are being written by others")

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
    """Return this process's one table for ``dynamodb://TABLE``; nothing is asked of AWS yet.

    Raises
    ------
    InvalidSettings
        The URL is of another form.
    """
    parts = urlsplit(url)
    if parts.scheme != "dynamodb" or not parts.netloc or parts.path.strip("/"):
        raise InvalidSettings(f"{url!r} is not of the form dynamodb://TABLE")
    return Table(parts.netloc)


def _standing(response: Mapping[str, Any]) -> dict[int, Item | None]:
    """Return what stood in the way of a write, by the place of its update."""
    if response["Error"]["Code"] == "ConditionalCheckFailedException":
        return {0: from_item(response.get("Item", {})) or None}
    return {
        place: from_item(reason.get("Item", {})) or None
        for place, reason in enumerate(response.get("CancellationReasons", []))
        if reason.get("Code") == "ConditionalCheckFailed"
    }


def _contended(response: Mapping[str, Any]) -> bool:
    codes = {reason.get("Code") for reason in response.get("CancellationReasons", [])}
    return bool(_CONTENDED & (codes | {response["Error"]["Code"]}))


def _wait(attempt: int) -> float:
    return random.uniform(0, min(LONGEST_WAIT, FIRST_WAIT * 2**attempt))  # noqa: S311 - jitter
