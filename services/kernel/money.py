"""Money: integer hundredths inside, a JSON number with at most two decimals outside.

Some currencies have no minor unit: their amounts are integers outside, and hundredths inside like
all others. Partners count in the currency's own smallest unit (`smallest_units`).
"""

from decimal import Decimal
from math import isfinite

from kernel.wrong_value import WrongValue

MAXIMUM = 99_999_999_999
"""The largest amount, in hundredths: up to 999,999,999.99 every sum is exact as a JSON number."""

_SPELT_OUT = 10**20

# ISO 4217, active codes whose minor unit has at most two digits.
CURRENCIES = frozenset(
    """
    AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD
    CDF CHF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP
    GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR ISK JMD JPY KES KGS KHR KMF KPW KRW KYD KZT
    LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK
    NPR NZD PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS
    SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VES VND VUV WST
    XAF XCD XCG XOF XPF YER ZAR ZMW ZWG
    """.split()  # noqa: SIM905 - a list would need 300 quotation marks
)

WITHOUT_DECIMALS = frozenset(
    {
        *("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW"),
        *("PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF"),
    }
)
"""Currencies without a minor unit (ISO 4217, list one)."""

WITH_THREE_DECIMALS = frozenset({"BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"})
"""Currencies with three decimals, which hundredths cannot express (ISO 4217, list one)."""


def to_minor(value: object) -> int:
    """Return an amount in hundredths from a JSON number.

    Raises
    ------
    WrongValue
        The value is not a finite, non-negative number with at most two decimals, or it is too
        large; the message names the problem.
    """
    if type(value) is float and 0 <= value <= MAXIMUM:
        nearest = round(value * 100)
        if nearest / 100 == value and nearest <= MAXIMUM:
            return nearest  # faster than Decimal, with the same result
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise WrongValue(repr(value), "is not a number; send an amount such as 19.99")
    if not isinstance(value, int) and not isfinite(value):
        raise WrongValue(f"{value}", "is not a finite number; send an amount such as 19.99")
    if value > MAXIMUM:
        raise WrongValue(_short(value), f"is larger than {text(MAXIMUM)}")
    # repr gives the shortest decimal with the same float: the number in the JSON text
    hundredths = Decimal(repr(value) if isinstance(value, float) else value).scaleb(2)
    if hundredths != hundredths.to_integral_value():
        raise WrongValue(f"{value}", "has more than two decimals; round it to cents")
    if hundredths < 0:
        raise WrongValue(f"{value}", "is negative; amounts are 0 or more")
    if hundredths > MAXIMUM:
        raise WrongValue(f"{value}", f"is larger than {text(MAXIMUM)}")
    return int(hundredths)


def _short(value: float | Decimal) -> str:
    """Return a number as text; a number of over 20 digits is not written out."""
    return f"{value}" if value < _SPELT_OUT else "an amount of over 20 digits"


def from_minor(amount: int) -> float:
    """Return the JSON number for an amount in hundredths."""
    return amount / 100


def text(amount: int, currency: str = "") -> str:
    """Return an amount in hundredths as text, such as ``1265811.86``.

    It has the decimals of its currency; without a currency, two.
    """
    if is_whole(amount, currency):
        return f"{amount // 100}"
    return f"{amount // 100}.{amount % 100:02d}"


def is_whole(amount: int, currency: str) -> bool:
    """Return whether the currency has no decimals, and the amount in hundredths has none either."""
    return currency in WITHOUT_DECIMALS and amount % 100 == 0


def smallest_units(amount: int, currency: str) -> int:
    """Convert an amount in hundredths to the currency's own smallest unit, such as yen or cents.

    Raises
    ------
    ValueError
        The amount has decimals, and the currency has none.
    """
    if currency not in WITHOUT_DECIMALS:
        return amount
    if amount % 100:
        raise ValueError(f"{text(amount)} has decimals, and {currency} has none")
    return amount // 100
