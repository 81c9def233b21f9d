"""The threads in which pages of a stack are read: AWS answers within a deadline or the page ends.

An error of AWS becomes one message on the page that failed; other pages still work.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from threading import Semaphore, Thread
from typing import Any, TypeVar

from infra.console.readers import Places
from infra.console.stack.source import StackSource
from infra.deployed.account import translate_errors
from infra.errors import AWSError
from kernel.errors import OrderflowError

T = TypeVar("T")

THREADS = 8


@contextmanager
def as_refusals(name: str) -> Iterator[None]:
    """Raise an error of AWS, or of a store, in a block as `AWSError`."""
    try:
        with translate_errors(f"the stack {name}", "deploy it again, or name another with --stack"):
            yield
    except OrderflowError as error:
        raise AWSError(str(error)) from error


class StackReaders:
    """The readers of one stack, at most `THREADS` at a time.

    Their threads are daemons: a call that AWS does not answer keeps no process from its end. They
    only read. A function's process is stopped after its answer, so the thread of a page that has
    ended may go on at the next request: it belongs to no event loop, and its answer is dropped.
    """

    def __init__(self, source: StackSource, deadline: float | None = None) -> None:
        self._source = source
        self._deadline = source.limits.page if deadline is None else deadline
        self._slots = Semaphore(THREADS)
        self._places = Places()

    async def read(self, query: Callable[[StackSource], T]) -> T:
        """Run a reader's function in a thread.

        Raises
        ------
        AWSError
            AWS refused a call, or has not answered within the deadline.
        TooMany
            Too many other pages wait.
        """
        with self._places.one():
            try:
                async with asyncio.timeout(self._deadline):
                    return await self._begin(query)
            except TimeoutError:
                raise AWSError(
                    f"AWS has not answered within {self._deadline:g} seconds; try again, or see"
                    " the AWS Health Dashboard"
                ) from None

    async def _begin(self, query: Callable[[StackSource], T]) -> T:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()

        def run() -> None:
            if not self._slots.acquire(timeout=self._deadline):
                return  # the page has ended
            try:
                if answer.done():  # it has ended just now
                    return
                end = partial(_answer, answer, self._read(query))
            except BaseException as error:  # noqa: BLE001 - raised where the page waits
                end = partial(_fail, answer, error)
            finally:
                self._slots.release()
            with suppress(RuntimeError):  # the server, or the request of a function, has ended
                loop.call_soon_threadsafe(end)

        Thread(target=run, name="console", daemon=True).start()
        return await answer

    def _read(self, query: Callable[[StackSource], T]) -> T:
        with as_refusals(self._source.name):
            return query(self._source)

    def close(self) -> None:
        """Free nothing: the clients of AWS end with the process."""


def _answer(answer: asyncio.Future[T], result: T) -> None:
    if not answer.done():  # the page has ended meanwhile
        answer.set_result(result)


def _fail(answer: asyncio.Future[Any], error: BaseException) -> None:
    if not answer.done():
        answer.set_exception(error)
