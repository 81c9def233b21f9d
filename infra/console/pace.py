"""The pace of a form: a number of things a second."""

SLOWEST = 0.1
"""A second; a pace below would seem to stand still."""


def pace_of(text: str, things: str, most: int) -> float | None:
    """Return a pace, None for an empty one.

    Raises
    ------
    ValueError
        It is no number of ``things`` a second from `SLOWEST` to ``most``; the message says so.
    """
    if not text.strip():
        return None
    try:
        pace = float(text)
    except ValueError:
        pace = 0.0
    if not SLOWEST <= pace <= most:
        raise ValueError(
            f"pace: {text[:40]!r} is no number of {things} a second from {SLOWEST} to {most:,}"
        )
    return pace
