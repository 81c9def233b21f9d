"""A report store replaces the page of a name atomically."""

from pathlib import Path
from typing import Any

import pytest

from analytics.report_store import FolderReportStore, S3ReportStore

NAME = "dt=2026-01-31/report.html"


def test_a_folder_stores_the_newest_page(tmp_path: Path) -> None:
    reports = FolderReportStore(tmp_path / "reports")
    reports.put(NAME, "old")
    where = reports.put(NAME, "new ä")
    assert where == str(tmp_path / "reports" / NAME)
    assert Path(where).read_text(encoding="utf-8") == "new ä"
    assert [path.name for path in Path(where).parent.iterdir()] == ["report.html"]


class S3:
    def __init__(self) -> None:
        self.put: dict[str, Any] = {}

    def put_object(self, **request: Any) -> None:
        self.put = request


@pytest.mark.parametrize(("prefix", "key"), [("reports", f"reports/{NAME}"), ("", NAME)])
def test_a_bucket_stores_a_page_that_browsers_show(prefix: str, key: str) -> None:
    client = S3()
    assert S3ReportStore(client, "shop", prefix).put(NAME, "ä") == f"s3://shop/{key}"
    assert client.put == {
        "Bucket": "shop",
        "Key": key,
        "Body": "ä".encode(),
        "ContentType": "text/html; charset=utf-8",
    }
