"""Typed settings from environment variables."""

import os
from collections.abc import Callable
from typing import Generic, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from kernel.errors import InvalidSettings

P = TypeVar("P")

_running = ""


def enter(function: str) -> None:
    """Set the function that this process runs from now on.

    Only a worker of one machine calls it, since its process runs every function in turn; it must be
    here, where `PerFunction` reads it.
    """
    global _running  # noqa: PLW0603 - a process is one execution environment
    _running = function


class PerFunction(Generic[P]):
    """A cached factory: one object for each function that this process runs.

    A process on Lambda runs one function. A worker of one machine runs every function in turn, each
    with its own environment variables (see `enter`).
    """

    def __init__(self, make: Callable[[], P]) -> None:
        self._make = make
        self._made: dict[str, P] = {}

    def __call__(self) -> P:
        """Return the object of the running function."""
        made = self._made.get(_running)
        if made is None:
            made = self._made[_running] = self._make()
        return made

    def cache_clear(self) -> None:
        """Forget all objects."""
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
        variables = {
            name: os.environ[name.upper()]
            for name in cls.model_fields
            if os.environ.get(name.upper())
        }
        try:
            return cls.model_validate(variables)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            name = str(first["loc"][0]).upper()
            raise InvalidSettings(f"environment variable {name}: {first['msg']}") from None


class StoreSettings(Settings):
    """Base of the settings of a service with a store."""

    store_url: str
    """The URL of the store: ``sqlite:///PATH`` or ``dynamodb://TABLE``."""
