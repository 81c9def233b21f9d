"""The console in the port: imported and built at its first request, in a thread.

`orders serve` starts no later for it, and a server without a visit of the console never imports
Starlette and Jinja2.
"""

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from infra.local.directory.data_directory import DataDirectory
from infra.server.http import Application, Receive, Send
from infra.server.request import Scope

if TYPE_CHECKING:
    from infra.console.console import Console


class ConsoleMount:
    """The console of a server, as `infra.server.http.Application` calls it."""

    def __init__(self, application: Application, directory: DataDirectory) -> None:
        self._application = application
        self._directory = directory
        self._console: Console | None = None
        self._building = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request of the console."""
        async with self._building:
            if self._console is None:
                self._console = await asyncio.to_thread(self._built)
        await self._console(scope, receive, send)

    def _built(self) -> "Console":
        from infra.console.callers import Callers
        from infra.console.console import build
        from infra.console.page import DirectorySource

        application = self._application
        engine = application.engine
        probes = application.probes
        source = DirectorySource(
            directory=self._directory,
            stack=engine.stack,
            operate=self._operate,
            now=engine.clock.now,
            workers=lambda: None if probes is None else probes.workers(),
        )
        return build(source, Callers(application.access.tokens), application.log)

    async def _operate(self, name: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        return await self._application.operate(name, request)

    async def close(self) -> None:
        """End the streams, before the server waits for its requests."""
        if self._console is not None:
            await self._console.close()

    def release(self) -> None:
        """Close the connections, after the last request."""
        if self._console is not None:
            self._console.release()
