"""Who runs a command."""

import os
from getpass import getuser


def operator() -> str:
    """Return the name of the user who runs this command."""
    try:
        return getuser()
    except (KeyError, OSError):  # nobody has given this user a name
        return f"user {os.getuid()}"
