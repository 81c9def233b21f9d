"""AWS list prices."""

from dataclasses import dataclass

AS_OF = "2026-11-23"

NOTE = (
    f"AWS list prices, us-east-1, no free tier, USD, as read on {AS_OF}."
    " Check against the price pages before quoting them to anyone."
)

KB, GB = 1024, 1024**3
"""Bytes, in AWS's definition."""

THOUSAND, MILLION = 1_000, 1_000_000


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices of each service in USD.

    Units are 64 KB for events, 1 KB for writes, 4 KB for reads, and 5 KB for a Firehose record.
    """

    standard_per_million: float = 25.0
    express_per_million: float = 1.0
    express_per_gb_second: float = 0.00001667
    express_memory_chunk_mb: int = 64
    express_rounding_ms: int = 100
    lambda_per_million: float = 0.20
    lambda_per_gb_second_x86: float = 0.0000166667
    lambda_per_gb_second_arm64: float = 0.0000133334
    events_per_million: float = 1.0
    http_api_per_million: float = 1.0
    writes_per_million: float = 0.625
    reads_per_million: float = 0.125
    transaction_multiplier: int = 2
    sqs_per_million: float = 0.40
    firehose_per_gb: float = 0.029
    conversion_per_gb: float = 0.018
    logs_per_gb: float = 0.50
    traces_per_million: float = 5.0
    mails_per_thousand: float = 0.10
    puts_per_thousand: float = 0.005


PRICES = Prices()
