"""The rights of a user: the groups of the stack's user pool, named like the scopes of a token.

==================  ===============================================================================
group               capability
==================  ===============================================================================
``console/read``    every page, no action
``orders/operate``  every page and every action
==================  ===============================================================================

Source: Amazon Cognito User Pools API Reference, ``AdminGetUser`` and ``AdminListGroupsForUser``.
"""

import time
from collections.abc import Callable
from threading import Lock
from typing import Any

from infra.console.page import Capability
from infra.deployed.account import translate_errors
from infra.server.tokens import LOOK, OPERATE

KEPT = 120.0
"""Seconds after which the groups are read again: a removed user has access no longer than that."""

MAX_USERS = 256

Rights = frozenset[Capability]

_OF_GROUPS = {
    LOOK: frozenset({Capability.READ}),
    OPERATE: frozenset({Capability.READ, Capability.OPERATE}),
}


class UserPool:
    """The users of one pool."""

    def __init__(
        self, client: Any, pool_id: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._client = client
        self._id = pool_id
        self._clock = clock
        self._kept: dict[str, tuple[float, Rights]] = {}
        self._lock = Lock()

    def rights(self, user: str) -> Rights:
        """Return the rights of a user; a disabled or deleted one has none.

        Raises
        ------
        AWSError
            Cognito refused a call, or does not answer.
        """
        until, found = self._kept.get(user, (0.0, frozenset[Capability]()))
        if self._clock() < until:
            return found
        found = self._read(user)
        with self._lock:
            self._kept.pop(user, None)
            self._kept[user] = (self._clock() + KEPT, found)
            while len(self._kept) > MAX_USERS:
                del self._kept[next(iter(self._kept))]
        return found

    def _read(self, user: str) -> Rights:
        with translate_errors("the user pool", "deploy the stack again"):
            try:
                request = {"UserPoolId": self._id, "Username": user}
                if not self._client.admin_get_user(**request)["Enabled"]:
                    return frozenset()
                pages = self._client.get_paginator("admin_list_groups_for_user").paginate(**request)
                groups = {group["GroupName"] for page in pages for group in page["Groups"]}
            except self._client.exceptions.UserNotFoundException:
                return frozenset()
        return frozenset[Capability]().union(
            *(_OF_GROUPS[each] for each in groups & set(_OF_GROUPS))
        )
