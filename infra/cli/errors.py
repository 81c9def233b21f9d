"""The error of a command."""

from infra.errors import Refusal


class CommandError(Refusal):
    """A command cannot be carried out; the message has the cause and the remedy."""
