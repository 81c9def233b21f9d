"""An account for a process that stays: its clients are made once and used by every thread.

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
class KeptAccount(Account):
    """An account with one client for each service and configuration."""

    _clients: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)
    _lock: Any = field(default_factory=RLock, repr=False, compare=False)

    def client(self, service: str, **config: Any) -> Any:
        """Return the client of a service; ``config`` is botocore's."""
        key = f"{service} {sorted(config.items(), key=str)}"
        settings: dict[str, Any] = {
            "connect_timeout": CONNECT_TIMEOUT,
            "read_timeout": READ_TIMEOUT,
            "retries": {"mode": "standard", "total_max_attempts": ATTEMPTS},
            "max_pool_connections": MAX_CONNECTIONS,
        }
        with self._lock:
            if key not in self._clients:
                self._clients[key] = super().client(service, **(settings | config))
            return self._clients[key]
