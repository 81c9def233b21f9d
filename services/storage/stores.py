"""Which adapter a URL asks for: the one place where SQLite or DynamoDB is chosen.

Only what is asked for is imported, since each costs time where a function starts.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from kernel.errors import InvalidSettings

if TYPE_CHECKING:
    from storage.dynamodb.table import Table
    from storage.sqlite.database import Database

S = TypeVar("S")


def opened(url: str, sqlite: Callable[["Database"], S], dynamodb: Callable[["Table"], S]) -> S:
    """Return the store at ``sqlite:///PATH`` or ``dynamodb://TABLE``, made by its adapter.

    Raises
    ------
    InvalidSettings
        The URL is of neither form.
    """
    if is_dynamodb(url):
        from storage.dynamodb.table import table

        return dynamodb(table(url))
    if url.startswith("sqlite:"):
        from storage.sqlite.database import database

        return sqlite(database(url))
    raise InvalidSettings(f"{url!r} is neither sqlite:///PATH nor dynamodb://TABLE")


def is_dynamodb(url: str) -> bool:
    """Say whether a URL names a DynamoDB table."""
    return url.startswith("dynamodb:")
