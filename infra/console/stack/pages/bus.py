"""The bus of a stack: its rules. AWS keeps no journal, so events are found by a query."""

from dataclasses import replace

from infra.console.page import Feature, View, Visit, link
from infra.console.pages import bus as shared
from infra.console.stack.source import StackSource
from infra.views.exact_json import indented
from lambda_support.athena import quoted


def _events(visit: Visit, source: StackSource) -> View:
    """Say that there is no journal, with the query that finds the same events."""
    conditions = [
        f"{column} = {quoted(value)}"
        for column, name in (("type", "type"), ("order_id", "order"))
        if (value := visit.filter(name)[:200])
    ]
    where = f" where {' and '.join(conditions)}" if conditions else ""
    sql = f"select * from order_events{where} order by arrived_at desc limit 100"
    names = {
        "note": source.missing[Feature.JOURNAL],
        "query_link": link("/queries/sql", q=sql),
        "rules": sorted(source.stack.rules, key=lambda rule: rule.name),
    }
    return View("stack/bus.html", "Bus", names, is_current=False)


def _rule(visit: Visit, source: StackSource) -> View:
    """Show one rule: its pattern and its targets."""
    found = shared.rule_of(visit)
    names = {
        "rule": found,
        "text": indented(found.pattern.text),
        "note": source.missing[Feature.JOURNAL],
    }
    return View("stack/rule.html", found.name, names, is_current=False)


PAGE = replace(
    shared.PAGE,
    gets={"/bus": _events, "/bus/rules": _events, "/bus/rules/{name:path}": _rule},
)
