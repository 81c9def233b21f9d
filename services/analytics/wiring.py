"""The analytics' composition root; each function builds its ports once."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from analytics.report_store import FolderReportStore, S3ReportStore
from analytics.usecases import Ports, ReportStore, Warehouse
from analytics.warehouse import DuckDBWarehouse
from kernel import clock
from kernel.errors import InvalidSettings
from lambda_support import aws
from lambda_support.athena import AthenaWarehouse
from lambda_support.settings import PerFunction, Settings


class AnalyticsSettings(Settings):
    """The analytics' settings."""

    warehouse_url: str
    """The warehouse: ``duckdb:///FOLDER`` (absolute) or ``athena://DATABASE/WORKGROUP``."""

    shelf_url: str
    """The report store: ``file:///FOLDER`` (absolute) or ``s3://BUCKET/PREFIX``."""


@PerFunction
def ports() -> Ports:
    """Return the ports of the daily report, by the settings."""
    settings = AnalyticsSettings.from_environment()
    return Ports(_warehouse(settings.warehouse_url), _report_store(settings.shelf_url), clock.now)


def _warehouse(url: str) -> Warehouse:
    parts = urlsplit(url)
    if parts.scheme == "duckdb" and parts.path:
        return DuckDBWarehouse(Path(unquote(parts.path)))
    workgroup = parts.path.strip("/")
    if parts.scheme == "athena" and parts.netloc and workgroup:
        return AthenaWarehouse(aws.client("athena"), parts.netloc, workgroup)
    raise InvalidSettings(
        f"environment variable WAREHOUSE_URL: {url!r} is neither duckdb:///FOLDER"
        " nor athena://DATABASE/WORKGROUP"
    )


def _report_store(url: str) -> ReportStore:
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.path:
        return FolderReportStore(Path(unquote(parts.path)))
    if parts.scheme == "s3" and parts.netloc:
        return S3ReportStore(aws.client("s3"), parts.netloc, parts.path.strip("/"))
    raise InvalidSettings(
        f"environment variable SHELF_URL: {url!r} is neither file:///FOLDER nor s3://BUCKET/PREFIX"
    )
