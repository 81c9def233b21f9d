"""Words and styles of orders on a terminal."""

from kernel.money import text, to_minor

STYLES = {
    "COMPLETED": "green",
    "FAILED": "red",
    "CANCELLED": "red",
    "WAITING": "yellow",
    "AWAITING_APPROVAL": "yellow",
}
"""The style of each status; others have none."""


def amount(number: float, currency: str) -> str:
    """Return an amount with the decimals of its currency, such as ``500 JPY``."""
    return f"{text(to_minor(number), currency)} {currency}"
