"""Tell open pages that the database has changed: one stream of server-sent events a tab.

SQLite's ``data_version`` of a reader changes with each commit of another connection, so the engine
does nothing for the console. It is read while a stream is open, and never otherwise. A page fetches
its live part again after the event ``changed``. All updates together take at most `SHARE` of a
processor: one tab follows an order at once, and a burst is as fast with tabs as without.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

from infra.console.readers import Readers
from infra.errors import Refusal

POLL = 0.2
"""Seconds between two looks at the database."""

QUICK = 0.25
"""Minimum seconds between two events of a stream."""

SHARE, CREDIT = 0.01, 0.03
"""Share of one processor that all updates may take, and seconds of it that they may save up."""

DEBT = 0.05
"""Maximum seconds of a processor that are taken in advance: updates then wait for 5 seconds."""

UPDATE = 0.008
"""Seconds of a processor that an update takes: about 6 ms for the page, the rest for the port."""

HEARTBEAT = 15.0
"""Seconds after which a stream without events sends a comment, so that a lost one is noticed."""

MAX_STREAMS = 16
"""Maximum streams; further tabs poll."""


class TooManyStreams(Refusal):
    """No further stream is opened: the tab polls."""


class Budget:
    """The processor time of all updates: however many tabs are open, a burst is not slowed down."""

    def __init__(self, now: float) -> None:
        self._left, self._at = CREDIT, now

    def wait(self, now: float) -> float:
        """Return the seconds until an update may be sent."""
        self._left = min(CREDIT, self._left + (now - self._at) * SHARE)
        self._at = now
        return max(0.0, -self._left / SHARE)

    def spend(self, seconds: float) -> None:
        """Take the time of an update; an expensive page delays the others for `DEBT` at most."""
        self._left = max(-DEBT, self._left - seconds)


class Changes:
    """The changes of one database, for all streams."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers
        self._version: int | None = None
        self._streams = 0
        self.budget = Budget(0.0)
        self._number = 0
        self._next, self._end = asyncio.Event(), asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def streams(self) -> int:
        """The number of open streams."""
        return self._streams

    async def stream(self) -> AsyncIterator[bytes]:
        """Yield the events of one stream until the server stops.

        Raises
        ------
        TooManyStreams
            `MAX_STREAMS` are open.
        """
        if self._streams >= MAX_STREAMS:
            raise TooManyStreams(f"{MAX_STREAMS} pages are connected; this one polls")
        self._streams += 1
        if self._task is None:
            self._task = asyncio.create_task(self._watch())
        try:
            # a change after the page was read and before this connection is not missed
            yield b"retry: 1000\nevent: changed\ndata: 0\n\n"
            async for event in self._events():
                yield event
        finally:
            self._streams -= 1

    async def _events(self) -> AsyncIterator[bytes]:
        seen, loop = self._number, asyncio.get_running_loop()
        sent_at = 0.0
        while not self._closed:
            if not await self._wait_beyond(seen):
                yield b": alive\n\n"
                continue
            await self._pause(sent_at + QUICK - loop.time())
            while (wait := self.budget.wait(loop.time())) and not self._closed:
                await self._pause(wait)
            self.budget.spend(UPDATE)
            seen, sent_at = self._number, loop.time()
            yield b"event: changed\ndata: %d\n\n" % seen

    async def _wait_beyond(self, seen: int) -> bool:
        """Wait until the number is another; return False after `HEARTBEAT`."""
        if self._number == seen:
            await _within(HEARTBEAT, self._next)
        return self._number != seen and not self._closed

    async def _pause(self, seconds: float) -> None:
        """Wait, but not beyond the end of the server."""
        if seconds > 0:
            await _within(seconds, self._end)

    async def _watch(self) -> None:
        """Look at the database until no stream is left."""
        while self._streams and not self._closed:
            version: int | None
            try:
                version = await self._readers.version()
            except Exception:  # noqa: BLE001 - a busy reader is asked again
                version = self._version
            if self._version not in (None, version):
                self._notify()
            self._version = version
            await asyncio.sleep(POLL)
        self._task = None

    def _notify(self) -> None:
        """Wake the streams; each takes the number that is the newest when it continues."""
        self._number += 1
        woken, self._next = self._next, asyncio.Event()
        woken.set()

    async def close(self) -> None:
        """End all streams."""
        self._closed = True
        self._end.set()
        self._notify()


async def _within(seconds: float, event: asyncio.Event) -> None:
    """Wait for an event, at most some seconds."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
