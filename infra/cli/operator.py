"""The user who runs a command."""

import os
from getpass import getuser


def operator() -> str:
    """Return the name of the user who runs this command."""
    try:
        return getuser()
    except (KeyError, OSError):  # the user has no name
        return f"user {os.getuid()}"
