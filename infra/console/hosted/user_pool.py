"""The rights of a user: the groups of the stack's user pool.

A group has the name and the capabilities of a token's scope (`infra.console.callers`).

Source: Amazon Cognito User Pools API Reference, ``AdminGetUser`` and ``AdminListGroupsForUser``.
"""

from collections.abc import Callable
from threading import Lock
from typing import Any, NamedTuple

from infra.console.callers import capabilities_of
from infra.console.page import Capability
from infra.deployed.account import translate_errors

KEPT = 120.0
"""Seconds after which the groups are read again: a removed user has access no longer than that."""

MAX_USERS = 256

Rights = frozenset[Capability]


class User(NamedTuple):
    """A user of the pool.

    ``id`` is the ``sub`` of their token: a user who is created again under a name has another, and
    a session of the former one is not theirs (Amazon Cognito Developer Guide, "Working with user
    attributes").
    """

    name: str
    id: str


class UserPool:
    """The users of one pool; ``now`` is the day's clock, in epoch seconds.

    A monotonic clock may not advance while the function's process is stopped, and a thread may
    continue after a stop. So the age of a user's groups counts from the call that read them.
    """

    def __init__(self, client: Any, pool_id: str, now: Callable[[], float]) -> None:
        self._client = client
        self._id = pool_id
        self._now = now
        self._kept: dict[User, tuple[float, Rights]] = {}
        self._lock = Lock()

    def rights(self, user: User) -> Rights:
        """Return the rights of a user; a disabled or deleted one has none.

        Raises
        ------
        AWSError
            Cognito refused a call, or does not answer.
        """
        asked = self._now()
        at, found = self._kept.get(user, (float("-inf"), frozenset[Capability]()))
        if 0 <= asked - at < KEPT:
            return found
        found = self._read(user)
        with self._lock:
            self._kept.pop(user, None)
            self._kept[user] = (asked, found)
            while len(self._kept) > MAX_USERS:
                del self._kept[next(iter(self._kept))]
        return found

    def _read(self, user: User) -> Rights:
        with translate_errors("the user pool", "deploy the stack again"):
            try:
                request = {"UserPoolId": self._id, "Username": user.name}
                found = self._client.admin_get_user(**request)
                ids = [each["Value"] for each in found["UserAttributes"] if each["Name"] == "sub"]
                if not found["Enabled"] or ids != [user.id]:
                    return frozenset()
                pages = self._client.get_paginator("admin_list_groups_for_user").paginate(**request)
                groups = {group["GroupName"] for page in pages for group in page["Groups"]}
            except self._client.exceptions.UserNotFoundException:
                return frozenset()
        return capabilities_of(groups)
