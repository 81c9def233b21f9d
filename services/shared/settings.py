"""Typed settings, read from the environment once a process."""

import os
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from shared.errors import InvalidSettings


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
