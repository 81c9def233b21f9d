"""The thresholds of high-value orders, which the review and the approval share."""

from collections.abc import Iterator
from decimal import Decimal

from pydantic import Field

from kernel.approval import Thresholds
from kernel.errors import InvalidSettings
from kernel.money import CURRENCIES, text, to_minor
from lambda_support.settings import StoreSettings


class ThresholdSettings(StoreSettings):
    """The settings of the thresholds."""

    high_value_threshold: Decimal = Field(Decimal(1000), gt=0, decimal_places=2)
    """Lowest total of a reviewed order, in its currency, such as ``1000`` or ``999.50``."""

    high_value_thresholds: str = ""
    """Thresholds of single currencies, such as ``JPY=150000 KRW=1500000``.

    None may be below ``high_value_threshold``.
    """

    def thresholds(self) -> Thresholds:
        """Return the thresholds.

        Raises
        ------
        InvalidSettings
            An entry is malformed, or is below the general threshold.
        """
        general = to_minor(self.high_value_threshold)
        return Thresholds(general, dict(_single(self.high_value_thresholds, general)))


def _single(setting: str, general: int) -> Iterator[tuple[str, int]]:
    """Yield each currency that has a threshold of its own, with that threshold.

    The rule on the bus compares with the general threshold only, so events below it are not
    delivered.
    """
    for entry in setting.split():
        currency, _, amount = entry.partition("=")
        try:
            threshold = to_minor(Decimal(amount))
        except (ArithmeticError, ValueError):
            threshold = 0
        if currency not in CURRENCIES or threshold < general:
            raise InvalidSettings(
                f"environment variable HIGH_VALUE_THRESHOLDS: {entry!r} is not a currency and an"
                f" amount of at least {text(general)}; set some such as JPY=150000 KRW=1500000"
            )
        yield currency, threshold
