"""The choice between SQLite and DynamoDB, by a store's URL.

Only the chosen adapter is imported: an import lengthens a cold start.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from kernel.errors import InvalidSettings

if TYPE_CHECKING:
    from storage.dynamodb.table import Table
    from storage.sqlite.database import Database

S = TypeVar("S")


def open_store(url: str, sqlite: Callable[["Database"], S], dynamodb: Callable[["Table"], S]) -> S:
    """Open the store at ``sqlite:///PATH`` or ``dynamodb://TABLE`` with the adapter of its scheme.

    Raises
    ------
    InvalidSettings
        The URL has neither form.
    """
    if is_dynamodb(url):
        from storage.dynamodb.table import table

        return dynamodb(table(url))
    if url.startswith("sqlite:"):
        from storage.sqlite.database import database

        return sqlite(database(url))
    raise InvalidSettings(f"{url!r} is neither sqlite:///PATH nor dynamodb://TABLE")


def is_dynamodb(url: str) -> bool:
    """Return whether a URL names a DynamoDB table."""
    return url.startswith("dynamodb:")
