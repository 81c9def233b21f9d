"""The answers of queries, from this machine's files or from Athena."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

from infra.cli.errors import CommandError
from infra.cli.options import directory
from infra.queries import attach
from infra.queries.child import answering_in_process
from infra.queries.warehouse import Rows, local_sql
from infra.terminal.output import console, finish

if TYPE_CHECKING:
    from infra.deployed.stack import DeployedStack


class Asked(NamedTuple):
    """A query: its name or SQL, the values of its parameters, and its dialect."""

    text: str
    values: Mapping[str, str]
    dialect: str


@contextmanager
def answers(
    stack: "DeployedStack | None", data: Path, asked: Asked
) -> Iterator[tuple[list[str], Iterator[Rows]]]:
    """Give the columns and the batches of rows of a query.

    Raises
    ------
    QueryError
        The query is invalid, or failed.
    """
    if stack is None:
        where = directory(data)
        where.require_database()
        with answering_in_process(where.bucket, local_sql(*asked)) as answer:
            yield answer
        return
    if asked.dialect != "athena":
        raise CommandError("--dialect duckdb is for this machine; a stack answers in Athena's SQL")
    from infra.deployed import warehouse

    columns, rows = warehouse.run_query(stack, asked.text, warehouse.awswrangler(), asked.values)
    yield columns, iter([rows])


def write_parquet(stack: "DeployedStack | None", data: Path, asked: Asked, output: Path) -> None:
    """Write the answer of a query to a Parquet file, which gets its name once it is complete."""
    if stack is not None:
        raise CommandError("--parquet is for this machine; of a stack, send --csv or --ndjson")
    where = directory(data)
    where.require_database()
    try:
        with TemporaryDirectory(dir=output.absolute().parent) as folder:
            part = Path(folder).resolve() / "answer.parquet"
            sql = local_sql(*asked)
            with answering_in_process(where.bucket, sql, copy_to=part) as (_, batches):
                list(batches)
            part.replace(output)
    except OSError as error:
        raise CommandError(f"{output} cannot be written: {error.strerror}") from None


def print_attachments(stack: "DeployedStack | None", data: Path, *, as_json: bool) -> None:
    """Print the lines that open the data in other tools."""
    if stack is None:
        lines = attach.local(directory(data).bucket.absolute() / "order_events")
    else:
        lines = attach.deployed(stack.name("AnalyticsDatabase"), stack.name("Workgroup"))
    if not as_json:
        for tool, text in lines.items():
            console.print(f"# {tool}")
            console.print_whole(text)
    finish({"attach": lines}, as_json=as_json)
