"""The analysts' SQL on Athena, through awswrangler: an optional extra of 300 MB."""

import re
import warnings
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from infra.deployed.account import translate_errors
from infra.deployed.stack import DeployedStack
from infra.errors import NotInstalled
from infra.queries.pack import QueryError
from infra.queries.warehouse import Rows, sql_of

_SELECT = re.compile(r"(?:\s|--[^\n]*\n|/\*.*?\*/|\()*(?:select|with)\b", re.IGNORECASE | re.DOTALL)
_SERVICES = ("athena", "glue", "s3", "sts")


def is_select(sql: str) -> bool:
    """Return whether a text begins as a SELECT does."""
    return _SELECT.match(sql) is not None


def awswrangler() -> Any:
    """Return the library, or raise `NotInstalled`."""
    try:
        return import_module("awswrangler")
    except ImportError:
        raise NotInstalled(
            "queries on Athena need awswrangler, which is not installed;"
            " run `.venv/bin/python -m pip install -e '.[athena]'` (the extra orderflow[athena])"
        ) from None


def run_query(
    stack: DeployedStack,
    name_or_sql: str,
    wrangler: Any,
    values: Mapping[str, str] | None = None,
) -> tuple[list[str], Rows]:
    """Return the columns and rows of a named query, or of one SELECT, from Athena.

    ``wrangler`` is the module `awswrangler`; ``values`` are those of the query's parameters.

    Raises
    ------
    QueryError
        The name is unknown, it is no SELECT, or Athena rejects it.
    AWSError
        AWS refused a call.
    """
    sql = sql_of(name_or_sql, values)
    if not is_select(sql):
        raise QueryError("a query must be one SELECT, which reads order_events")
    for service in _SERVICES if stack.account.endpoint_url else ():
        setattr(wrangler.config, f"{service}_endpoint_url", stack.account.endpoint_url)
    workgroup = stack.name("Workgroup")
    remedy = "name Orderflow's stack with --stack, or deploy it again"
    with translate_errors(f"Athena's workgroup {workgroup}", remedy), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandas 3 warns about calls of awswrangler 3.17
        failures = wrangler.exceptions
        try:
            frame = wrangler.athena.read_sql_query(
                sql,
                database=stack.name("AnalyticsDatabase"),
                workgroup=workgroup,
                ctas_approach=False,  # it would need the permission to create tables
                boto3_session=stack.account.session,
            )
        except (failures.QueryFailed, failures.QueryCancelled, failures.NoFilesFound) as error:
            raise QueryError(f"Athena: {' '.join(str(error).split())}") from None
    cells = frame.astype(object)
    cells = cells.where(frame.notna(), None)
    return [str(name) for name in frame.columns], list(cells.itertuples(index=False, name=None))
