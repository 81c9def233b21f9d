"""The error of a command."""

from infra.errors import Refusal


class CommandError(Refusal):
    """A command cannot do what its arguments ask for; the message has the cause and the remedy."""
