"""The threads in which pages of a stack are read: AWS answers within a deadline or the page ends.

An error of AWS becomes one message on the page that failed; other pages still work.
"""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from infra.console.readers import MAX_WAITING, TooMany
from infra.console.stack.source import StackSource
from infra.deployed.account import translate_errors
from infra.errors import AWSError
from kernel.errors import OrderflowError

T = TypeVar("T")

THREADS = 8

DEADLINE = 30.0
"""Seconds that AWS may take for a page."""


@contextmanager
def as_refusals(name: str) -> Iterator[None]:
    """Raise an error of AWS, or of a store, in a block as `AWSError`."""
    try:
        with translate_errors(f"the stack {name}", "deploy it again, or name another with --stack"):
            yield
    except OrderflowError as error:
        raise AWSError(str(error)) from error


class StackReaders:
    """The readers of one stack."""

    def __init__(self, source: StackSource, deadline: float = DEADLINE) -> None:
        self._source = source
        self._deadline = deadline
        self._threads = ThreadPoolExecutor(THREADS, "console")
        self._waiting = 0

    async def read(self, query: Callable[[StackSource], T]) -> T:
        """Run a reader's function in a thread.

        Raises
        ------
        AWSError
            AWS refused a call, or has not answered within the deadline.
        TooMany
            Too many other pages wait.
        """
        if self._waiting >= MAX_WAITING:
            raise TooMany(f"{MAX_WAITING} pages are being read; try again in a second")
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            answer = loop.run_in_executor(self._threads, self._read, query)
            async with asyncio.timeout(self._deadline):
                return await answer
        except TimeoutError:
            raise AWSError(
                f"AWS has not answered within {self._deadline:g} seconds; try again, or see the"
                " AWS Health Dashboard"
            ) from None
        finally:
            self._waiting -= 1

    def _read(self, query: Callable[[StackSource], T]) -> T:
        with as_refusals(self._source.name):
            return query(self._source)

    def close(self) -> None:
        """Start no more reads."""
        self._threads.shutdown(wait=False, cancel_futures=True)
