"""Typed settings, read from the environment once a process."""

import os
from collections.abc import Callable
from typing import Generic, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from kernel.errors import InvalidSettings

P = TypeVar("P")

_running = ""


def enter(function: str) -> None:
    """Say which of its functions this process runs from now on; on Lambda there is only one."""
    global _running  # noqa: PLW0603 - a process is one execution environment
    _running = function


class PerFunction(Generic[P]):
    """Makes something once for each function of this process.

    A process on Lambda is one function; a worker on one machine is every function in turn, each
    with an environment of its own (see `enter`).
    """

    def __init__(self, make: Callable[[], P]) -> None:
        self._make = make
        self._made: dict[str, P] = {}

    def __call__(self) -> P:
        """Return what was made for the function that runs."""
        made = self._made.get(_running)
        if made is None:
            made = self._made[_running] = self._make()
        return made

    def cache_clear(self) -> None:
        """Forget what was made."""
        self._made.clear()


class Settings(BaseModel):
    """Base of each service's settings; a field is the environment variable in lower case."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    @classmethod
    def from_environment(cls) -> Self:
        """Return the settings in this process's environment.

        Raises
        ------
        InvalidSettings
            A variable is missing or malformed; the message names it.
        """
        given = {
            name: os.environ[name.upper()]
            for name in cls.model_fields
            if os.environ.get(name.upper())
        }
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            name = str(first["loc"][0]).upper()
            raise InvalidSettings(f"environment variable {name}: {first['msg']}") from None


class StoreSettings(Settings):
    """Base of the settings of a service that keeps records."""

    store_url: str
    """Where the records are: ``sqlite:///PATH`` or ``dynamodb://TABLE``."""
