"""The last look at a stack's dead letters in the analysts' bucket: all containers share one object.

A look can be repeated at any time. So an object that is missing, damaged or of another form is no
look, and two operators at once lose at most the removal of a dead letter from the look: it is shown
once more, and an action on it is refused, since it was not received.
"""

import logging
from collections.abc import Callable, Iterable
from threading import Lock
from typing import Any

from infra.console.hosted.look_file import MAX_BYTES, UnreadableLook, decode, encode
from infra.console.stack.sample import LastLook, Look
from infra.deployed.account import translate_errors
from infra.views.dead_letter import DeadLetter

KEY = "console/look.json.gz"

MEMORY = 3.0
"""Seconds for which a container keeps its read."""

LIFETIME = 86_400.0
"""Seconds after which a look is none: the bucket deletes its object after a day or two."""

ATTEMPTS = 3
"""Attempts to change an object that others change too."""

_UNCHANGED, _MISSING, _CHANGED = 304, (403, 404), (404, 409, 412)
"""Statuses of S3: 403 is also that of a missing object for a caller who may not list the bucket
(Amazon S3 API Reference, GetObject); 409 and 412 refuse a conditional write (PutObject)."""

_LOG = logging.getLogger(__name__)


class BucketSample(LastLook):
    """The last look in one bucket."""

    def __init__(self, client: Any, bucket: str, now: Callable[[], float]) -> None:
        self._client = client
        self._bucket = bucket
        self._now = now
        self._look: Look | None = None
        self._etag: str | None = None
        self._read_at = float("-inf")
        self._lock = Lock()

    @property
    def look(self) -> Look | None:
        """The last look; None before the first, and after a day."""
        with self._lock:
            now = self._now()
            if not 0 <= now - self._read_at < MEMORY:
                self._read()
            look = self._look
        return look if look is not None and now < look.at + LIFETIME else None

    def keep(self, letters: Iterable[DeadLetter], at: float) -> None:
        """Keep the dead letters of a new look; raise `AWSError` if the bucket refuses it."""
        data, look = encode(Look.of(letters, at))
        subject = f"the look at the dead letters, {KEY} in the bucket {self._bucket}"
        with self._lock, translate_errors(subject, "deploy the stack again"):
            self._put(data, look)

    def forget(self, numbers: Iterable[str]) -> None:
        """Remove dead letters that have left their queues or have changed.

        The operation on them has happened, so an error of the bucket is logged and not raised.
        """
        gone = frozenset(numbers)
        with self._lock:
            for _ in range(ATTEMPTS if gone else 0):
                self._read()
                if self._look is None or all(self._look.find(each) is None for each in gone):
                    return
                if not self._is_outdated(*encode(self._look.without(gone))):
                    return

    def renew(self) -> None:
        """Read the object at the next use, however short ago that was done."""
        with self._lock:
            self._read_at = float("-inf")

    def _is_outdated(self, data: bytes, look: Look) -> bool:
        """Replace the object that was read; return whether another has changed it meanwhile."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            self._put(data, look, IfMatch=self._etag)
        except (BotoCoreError, ClientError) as error:
            if isinstance(error, ClientError) and _status(error) in _CHANGED:
                return True
            _LOG.warning("the look at the dead letters was not changed: %s", error)
            self._look = look  # in this container at least
        return False

    def _put(self, data: bytes, look: Look, **condition: Any) -> None:
        answer = self._client.put_object(
            Bucket=self._bucket, Key=KEY, Body=data, ContentType="application/gzip", **condition
        )
        self._look, self._etag, self._read_at = look, answer["ETag"], self._now()

    def _read(self) -> None:
        """Read the object if it has changed; without an answer the look stays as it is known."""
        from botocore.exceptions import BotoCoreError, ClientError

        condition = {} if self._etag is None else {"IfNoneMatch": self._etag}
        self._read_at = self._now()
        try:
            answer = self._client.get_object(Bucket=self._bucket, Key=KEY, **condition)
            data = answer["Body"].read(MAX_BYTES + 1)
        except ClientError as error:
            if _status(error) in _MISSING:
                self._look = self._etag = None
            elif _status(error) != _UNCHANGED:
                _LOG.warning("the look at the dead letters was not read: %s", error)
        except BotoCoreError as error:
            _LOG.warning("the look at the dead letters was not read: %s", error)
        else:
            self._look, self._etag = _decoded(data), answer["ETag"]


def _decoded(data: bytes) -> Look | None:
    try:
        return decode(data)
    except UnreadableLook as error:
        _LOG.warning("%s is no look of this version, and counts as none: %s", KEY, error)
        return None


def _status(error: Any) -> int:
    """Return the HTTP status of an error of S3."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
