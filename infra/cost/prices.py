"""AWS list prices."""

from dataclasses import dataclass

AS_OF = "2026-11-23"

NOTE = (
    f"AWS list prices, us-east-1, no free tier, USD, as read on {AS_OF}; those of the archive,"
    " Athena, monitoring, storage and provisioned concurrency from public summaries of the pages."
    " Check against the price pages before quoting them to anyone."
)

KB, GB = 1024, 1024**3
"""Bytes, in AWS's definition."""

THOUSAND, MILLION = 1_000, 1_000_000


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices of each service in USD.

    Units are 64 KB for events, 1 KB for writes, 4 KB for reads, and 5 KB for a Firehose record.
    Athena's unit is a TB. An alarm is billed for each metric that it reads. Point-in-time recovery
    is billed for the size of the table.
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
    archived_per_gb: float = 0.10
    scanned_per_gb: float = 5 / 1024
    provisioned_per_gb_second_x86: float = 0.0000041667
    provisioned_per_gb_second_arm64: float = 0.0000033334
    alarm_metric_a_month: float = 0.10
    dashboard_a_month: float = 3.00
    custom_metric_a_month: float = 0.30
    key_a_month: float = 1.00
    metrics_asked_per_thousand: float = 0.01
    table_gb_month: float = 0.25
    recovery_gb_month: float = 0.20
    archive_gb_month: float = 0.023
    bucket_gb_month: float = 0.023


PRICES = Prices()
