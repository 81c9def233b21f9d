"""Stock files: ``sku,on_hand`` as CSV; a file with an invalid line is refused."""

import csv
import re
from collections.abc import Iterator
from hashlib import sha256
from itertools import product
from pathlib import Path

from inventory.model import Receipt
from kernel.errors import InvalidStock

HEADER = ["sku", "on_hand"]
MAX_UNITS = 1_000_000_000
_SKU = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_DELIVERY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,63}")
_BOM = "\ufeff"


def read_stock(path: Path, delivery: str = "") -> Receipt:
    """Return the receipt in a stock file, identified by the delivery's number or else by its units.

    Line ends, quotes, blanks and the order of columns and lines do not matter.

    Raises
    ------
    InvalidStock
        The file or a line of it is invalid; the message names the line.
    """
    if delivery and not _DELIVERY.fullmatch(delivery):
        raise InvalidStock(
            "--delivery",
            f"{delivery!r} is no number: 64 letters, digits, '.', '_', '/', '-' at most",
        )
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InvalidStock(str(path), f"cannot be read: {error.strerror}") from None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidStock(str(path), "is not text; save it as CSV in UTF-8") from None
    if "\0" in text:
        raise InvalidStock(str(path), "is not text; save it as CSV in UTF-8")
    try:
        rows = list(csv.reader(text.splitlines()))
    except csv.Error as error:
        raise InvalidStock(str(path), f"is not CSV: {error}") from None
    header = _header(path, rows)
    units: dict[str, int] = {}
    for number, row in enumerate(rows[1:], 2):
        if not any(cell.strip() for cell in row):
            continue
        sku, count = _line(f"{path}:{number}", dict(zip(header, row, strict=False)), len(row))
        if sku in units:
            raise InvalidStock(f"{path}:{number}", f"{sku} is listed twice; add its lines up")
        units[sku] = count
    if not units:
        raise InvalidStock(str(path), "has no line of stock after its header")
    return Receipt.of(units, delivery, _digests_of_version_0_1(content, text))


def _digests_of_version_0_1(content: bytes, text: str) -> Iterator[str]:
    """Yield the digests by which version 0.1 identified a file: those of its bytes.

    They include those of the same lines with other line ends or a byte order mark.
    """
    yield sha256(content).hexdigest()
    lines = text.splitlines()
    for end, last, mark in product(("\n", "\r\n"), (True, False), ("", _BOM)):
        yield sha256(f"{mark}{end.join(lines)}{end * last}".encode()).hexdigest()


def _header(path: Path, rows: list[list[str]]) -> list[str]:
    if not rows:
        raise InvalidStock(str(path), "is empty; its first line is sku,on_hand")
    header = [name.strip() for name in rows[0]]
    unknown = [name for name in header if name not in HEADER]
    if unknown:
        raise InvalidStock(f"{path}:1", f"unknown column {unknown[0]!r}; use sku and on_hand")
    if sorted(header) != sorted(HEADER):
        raise InvalidStock(f"{path}:1", "the columns are sku,on_hand")
    return header


def _line(place: str, row: dict[str, str], cells: int) -> tuple[str, int]:
    if cells != len(HEADER):
        raise InvalidStock(place, f"has {cells} cells instead of 2")
    sku, count = row["sku"].strip(), row["on_hand"].strip()
    if not _SKU.fullmatch(sku):
        raise InvalidStock(f"{place} sku", f"{sku!r} is not a SKU: letters, digits, '.', '_', '-'")
    if not re.fullmatch(r"-?\d{1,12}", count):
        raise InvalidStock(f"{place} on_hand", f"{count!r} is not a whole number")
    if not 0 <= int(count) <= MAX_UNITS:
        raise InvalidStock(f"{place} on_hand", f"{count} is not between 0 and {MAX_UNITS}")
    return sku, int(count)
