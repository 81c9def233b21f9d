"""The analytics' composition root; what it makes, it makes once a function."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from analytics.shelf import FolderShelf, S3Shelf
from analytics.usecases import Ports, Shelf, Warehouse
from analytics.warehouse import DuckDBWarehouse
from shared import clock
from shared.athena import AthenaWarehouse
from shared.errors import InvalidSettings
from shared.settings import PerFunction, Settings


class AnalyticsSettings(Settings):
    """The analytics' settings."""

    warehouse_url: str
    """Where the rows are: ``duckdb:///FOLDER`` (absolute) or ``athena://DATABASE/WORKGROUP``."""

    shelf_url: str
    """Where the reports go: ``file:///FOLDER`` (absolute) or ``s3://BUCKET/PREFIX``."""


@PerFunction
def ports() -> Ports:
    """Return the ports that the settings ask for."""
    settings = AnalyticsSettings.from_environment()
    return Ports(_warehouse(settings.warehouse_url), _shelf(settings.shelf_url), clock.now)


def _warehouse(url: str) -> Warehouse:
    parts = urlsplit(url)
    if parts.scheme == "duckdb" and parts.path:
        return DuckDBWarehouse(Path(unquote(parts.path)))
    workgroup = parts.path.strip("/")
    if parts.scheme == "athena" and parts.netloc and workgroup:
        import boto3

        return AthenaWarehouse(boto3.client("athena"), parts.netloc, workgroup)
    raise InvalidSettings(
        f"environment variable WAREHOUSE_URL: {url!r} is neither duckdb:///FOLDER"
        " nor athena://DATABASE/WORKGROUP"
    )


def _shelf(url: str) -> Shelf:
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.path:
        return FolderShelf(Path(unquote(parts.path)))
    if parts.scheme == "s3" and parts.netloc:
        import boto3

        return S3Shelf(boto3.client("s3"), parts.netloc, parts.path.strip("/"))
    raise InvalidSettings(
        f"environment variable SHELF_URL: {url!r} is neither file:///FOLDER nor s3://BUCKET/PREFIX"
    )
