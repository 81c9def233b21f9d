"""Lines of code that open the analysts' data in other tools."""

from pathlib import Path


def local(folder: Path) -> dict[str, str]:
    """Return the lines that open a folder of Parquet files, by tool."""
    path = str(folder)
    files = "'" + f"{path}/*/*.parquet".replace("'", "''") + "'"
    return {
        "DuckDB": f"select * from read_parquet({files}, union_by_name = true);",
        "pandas": f"import pandas\nevents = pandas.read_parquet({path!r})",
        "polars": f"import polars\nevents = polars.read_parquet({path!r})",
    }


def deployed(database: str, workgroup: str) -> dict[str, str]:
    """Return the lines that open the views of a stack, by tool."""
    sql = "select * from orders"
    return {
        "awswrangler": "import awswrangler\norders = awswrangler.athena.read_sql_query(\n"
        f"    {sql!r}, database={database!r}, workgroup={workgroup!r}, ctas_approach=False\n)",
    }
