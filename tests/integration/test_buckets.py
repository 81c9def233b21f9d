"""Export to a bucket and import from it: uploads in parts, and missing buckets."""

from pathlib import Path

import pytest

from infra.deployed.stack import DeployedStack
from infra.local.directory.data_directory import DataDirectory
from infra.moving import s3
from tests.integration.deployed import BUCKET, PLACE, REGION, answer, refusal, run

STOCK = "events_schema/sample_stock.csv"
IN_REGION = ("--region", REGION)


@pytest.fixture
def here(tmp_path: Path) -> tuple[str, ...]:
    """The option that names a data directory with stock."""
    option = ("--data", str(tmp_path / "data"))
    assert run("stock", "receive", STOCK, *option).exception is None
    return option


@pytest.fixture
def aws(stack: DeployedStack, here: tuple[str, ...]) -> DeployedStack:
    return stack


@pytest.mark.parametrize("name", ["moves/orders.ndjson.gz", "orders.ndjson"])
def test_an_export_to_a_bucket_is_imported_from_it(
    aws: DeployedStack, here: tuple[str, ...], tmp_path: Path, name: str
) -> None:
    address = f"s3://{BUCKET}/{name}"
    assert run("export", address, *here, *IN_REGION).exception is None
    there = ("--data", str(tmp_path / "new"))
    assert "new in" in run("import", address, *there, *IN_REGION).output
    rows = [
        DataDirectory(Path(option[1])).reader().rows("select * from stock order by sku")
        for option in (here, there)
    ]
    assert [tuple(row) for row in rows[0]] == [tuple(row) for row in rows[1]] != []


def test_a_large_file_is_uploaded_in_parts(
    aws: DeployedStack, here: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "PART", 100)
    run("export", f"s3://{BUCKET}/orders.ndjson", *here, *IN_REGION)
    found = aws.client("s3").head_object(Bucket=BUCKET, Key="orders.ndjson")
    assert found["ETag"].strip('"').endswith("-1"), "the mark of an object that came in parts"


def test_a_stacks_table_is_moved_by_the_stacks_name(
    aws: DeployedStack, here: tuple[str, ...], tmp_path: Path
) -> None:
    file = tmp_path / "orders.ndjson"
    run("export", file, *here)
    assert answer("import", file)["added"] > 0
    assert answer("export", tmp_path / "back.ndjson")["totals"] == answer("import", file)["totals"]


@pytest.mark.parametrize("address", ["s3://", "s3://bucket", "s3://bucket/", "s3://bucket/folder/"])
def test_an_address_without_a_file_is_refused(
    aws: DeployedStack, here: tuple[str, ...], address: str
) -> None:
    for command in ("export", "import"):
        assert "names no file; name one such as" in refusal(command, address, *here, *IN_REGION)


def test_a_missing_bucket_or_file_is_reported(aws: DeployedStack, here: tuple[str, ...]) -> None:
    for command in ("export", "import"):
        said = refusal(command, "s3://no-such-bucket/x.ndjson", *here, *IN_REGION)
        assert said.startswith("s3://no-such-bucket/x.ndjson was not found")
    said = refusal("import", f"s3://{BUCKET}/nothing.ndjson", *here, *IN_REGION)
    assert "was not found" in said
    assert "name an existing one" in said


def test_a_table_and_a_stack_exclude_each_other(aws: DeployedStack, tmp_path: Path) -> None:
    done = run("export", tmp_path / "x.ndjson", "--table", "orders", *PLACE)
    assert done.exit_code == 2
    assert "exclude each other" in done.output
