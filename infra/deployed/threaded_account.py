"""An account for a process with threads: one thread at a time makes a client.

Source: Boto3 documentation, "Multithreading or multiprocessing with clients": clients are
thread-safe, sessions and the creation of clients are not.
"""

from dataclasses import dataclass, field
from threading import RLock
from typing import Any

from infra.deployed.account import Account

CONNECT_TIMEOUT, READ_TIMEOUT = 3.0, 15.0
"""Seconds: a person waits for the page."""

ATTEMPTS = 3
"""Calls in all, in the retry mode ``standard``."""

MAX_CONNECTIONS = 20


@dataclass(frozen=True)
class ThreadedAccount(Account):
    """An account whose clients are shared by threads.

    ``read_timeout`` has the seconds that a call may take, ``attempts`` the calls in all.
    """

    read_timeout: float = READ_TIMEOUT
    attempts: int = ATTEMPTS
    _lock: Any = field(default_factory=RLock, repr=False, compare=False)

    def client(self, service: str, **config: Any) -> Any:
        """Return the client of a service; ``config`` is botocore's."""
        settings: dict[str, Any] = {
            "connect_timeout": CONNECT_TIMEOUT,
            "read_timeout": self.read_timeout,
            "retries": {"mode": "standard", "total_max_attempts": self.attempts},
            "max_pool_connections": MAX_CONNECTIONS,
        }
        with self._lock:
            return super().client(service, **(settings | config))
