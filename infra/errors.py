"""What `infra` raises for a person to mend; errors of the services are in `shared.errors`."""


class Refusal(Exception):
    """It was not done: the text is one line that says why, and what to do."""
