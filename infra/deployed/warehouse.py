"""The analysts' SQL on Athena, through awswrangler; an extra, since that brings 300 MB."""

import re
import warnings
from importlib import import_module
from typing import Any

from infra.deployed.account import translate_errors
from infra.deployed.stack import DeployedStack
from infra.errors import NotInstalled
from infra.queries.warehouse import QueryError, Rows, sql_of

_SELECT = re.compile(r"(?:\s|--[^\n]*\n|/\*.*?\*/|\()*(?:select|with)\b", re.IGNORECASE | re.DOTALL)
_PLACES = ("athena", "glue", "s3", "sts")


def awswrangler() -> Any:
    """Return the library, or raise `NotInstalled` where it is not installed."""
    try:
        return import_module("awswrangler")
    except ImportError:
        raise NotInstalled(
            "Athena is asked through awswrangler, which is not installed here;"
            " run `.venv/bin/python -m pip install -e '.[athena]'` (the extra orderflow[athena])"
        ) from None


def run_query(stack: DeployedStack, name_or_sql: str, wrangler: Any) -> tuple[list[str], Rows]:
    """Return the columns and rows of a named query, or of one SELECT, as Athena answers it.

    ``wrangler`` is the module `awswrangler`.

    Raises
    ------
    QueryError
        No such name, no SELECT, or Athena does not take it.
    AWSError
        AWS did not do it.
    """
    sql = sql_of(name_or_sql)
    if not _SELECT.match(sql):
        raise QueryError("one SELECT is taken, which reads order_events; nothing else")
    for service in _PLACES if stack.account.endpoint_url else ():
        setattr(wrangler.config, f"{service}_endpoint_url", stack.account.endpoint_url)
    workgroup = stack.name("Workgroup")
    mend = "name Orderflow's stack with --stack, or deploy it anew"
    with translate_errors(f"Athena's workgroup {workgroup}", mend), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pandas 3 at what awswrangler 3.17 asks of it
        failures = wrangler.exceptions
        try:
            frame = wrangler.athena.read_sql_query(
                sql,
                database=stack.name("AnalyticsDatabase"),
                workgroup=workgroup,
                ctas_approach=False,  # which would take the right to create tables
                boto3_session=stack.account.session,
            )
        except (failures.QueryFailed, failures.QueryCancelled, failures.NoFilesFound) as error:
            raise QueryError(f"Athena: {' '.join(str(error).split())}") from None
    cells = frame.astype(object)
    cells = cells.where(frame.notna(), None)
    return [str(name) for name in frame.columns], list(cells.itertuples(index=False, name=None))
