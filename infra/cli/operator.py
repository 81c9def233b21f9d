"""The name of the user, for the history of dead letters."""

import os
from getpass import getuser


def operator() -> str:
    """Return the name of the user who runs this command."""
    try:
        return getuser()
    except (KeyError, OSError):  # the user id has no name
        return f"user {os.getuid()}"
