"""An export file in a bucket: written to a local file and uploaded in parts, or downloaded."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from infra.deployed.account import Account, translated
from infra.errors import MoveError

SCHEME = "s3://"

PART = 16_000_000
"""Bytes per part: the maximum of 10,000 parts makes 160 GB (S3, multipart upload limits)."""

_REMEDY = "name an existing one, in the region and account of --region and --profile"


@contextmanager
def uploaded(address: str, account: Account) -> Iterator[Path]:
    """Give a local path to write to, and upload the file to an ``s3://`` address at the end.

    A large file is uploaded in parts, and exists once the upload is complete.
    """
    bucket, key = _split(address)
    with TemporaryDirectory(prefix="orders-") as folder:
        path = Path(folder) / Path(key).name
        yield path
        with translated(address, _REMEDY):
            account.client("s3").upload_file(str(path), bucket, key, Config=_parts())


@contextmanager
def downloaded(address: str, account: Account) -> Iterator[Path]:
    """Download a file of an ``s3://`` address; give its local path, and delete it at the end."""
    bucket, key = _split(address)
    with TemporaryDirectory(prefix="orders-") as folder:
        path = Path(folder) / Path(key).name
        with translated(address, _REMEDY):
            account.client("s3").download_file(bucket, key, str(path), Config=_parts())
        yield path


def _split(address: str) -> tuple[str, str]:
    bucket, _, key = address.removeprefix(SCHEME).partition("/")
    if not bucket or not key or key.endswith("/"):
        raise MoveError(f"{address} names no file; name one such as s3://BUCKET/orders.ndjson.gz")
    return bucket, key


def _parts() -> Any:
    from boto3.s3.transfer import TransferConfig

    return TransferConfig(multipart_threshold=PART, multipart_chunksize=PART)
