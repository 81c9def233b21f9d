"""Stores for reports: a folder, and Amazon S3."""

import os
from pathlib import Path
from typing import Any

from kernel.errors import WarehouseError


class FolderReportStore:
    """A report store (see `analytics.usecases.ReportStore`): a folder, with atomic writes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, name: str, content: str) -> str:
        """Write a page and return its path, or raise `WarehouseError`."""
        path = self.folder / name
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(content, encoding="utf-8")
            part.replace(path)
        except OSError as error:
            raise WarehouseError(f"the page {path} cannot be written: {error.strerror}") from error
        return str(path)


class S3ReportStore:
    """A report store (see `analytics.usecases.ReportStore`): a bucket, or a prefix in one."""

    def __init__(self, client: Any, bucket: str, prefix: str) -> None:
        self.client = client
        self.bucket = bucket
        self.prefix = prefix

    def put(self, name: str, content: str) -> str:
        """Write a page and return its ``s3://`` address."""
        key = f"{self.prefix}/{name}" if self.prefix else name
        self.client.put_object(
            Bucket=self.bucket,
            Key=key,
            Body=content.encode(),
            ContentType="text/html; charset=utf-8",
        )
        return f"s3://{self.bucket}/{key}"
