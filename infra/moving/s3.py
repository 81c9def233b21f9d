"""The file of a move in a bucket: written here first, and sent in parts; or fetched first."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from infra.deployed.account import Account, translate_errors
from infra.errors import MoveError

SCHEME = "s3://"

PART = 16_000_000
"""Bytes of a part: 10,000 of them, the most, make 160 GB (S3, multipart upload limits)."""

_MEND = "name one that is there, in the region and account of --region and --profile"


@contextmanager
def uploaded(address: str, account: Account) -> Iterator[Path]:
    """Give a path to write to; what is there at the end is put at an ``s3://`` address.

    A large file goes up in parts, and is there once all of them are.
    """
    bucket, key = _split(address)
    with TemporaryDirectory(prefix="orders-") as folder:
        path = Path(folder) / Path(key).name
        yield path
        with translate_errors(address, _MEND):
            account.client("s3").upload_file(str(path), bucket, key, Config=_parts())


@contextmanager
def downloaded(address: str, account: Account) -> Iterator[Path]:
    """Give the path of what is at an ``s3://`` address; it is gone at the end."""
    bucket, key = _split(address)
    with TemporaryDirectory(prefix="orders-") as folder:
        path = Path(folder) / Path(key).name
        with translate_errors(address, _MEND):
            account.client("s3").download_file(bucket, key, str(path), Config=_parts())
        yield path


def _split(address: str) -> tuple[str, str]:
    bucket, _, key = address.removeprefix(SCHEME).partition("/")
    if not bucket or not key or key.endswith("/"):
        raise MoveError(f"{address} names no file; send one such as s3://BUCKET/orders.ndjson.gz")
    return bucket, key


def _parts() -> Any:
    from boto3.s3.transfer import TransferConfig

    return TransferConfig(multipart_threshold=PART, multipart_chunksize=PART)
