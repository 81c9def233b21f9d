"""``orders audit``: the invariants of ``docs/reliability.md``, checked over a whole place."""

from infra.audit.findings import Report
from infra.cli.errors import CommandError
from infra.cli.options import (
    DATA,
    Data,
    EndpointUrl,
    Json,
    Profile,
    Region,
    StackName,
    deployed,
    directory,
)
from infra.local.platform import stack_of
from infra.terminal.output import Table, console, finish
from kernel import clock


def audit(
    endpoint_url: EndpointUrl = None,
    profile: Profile = None,
    region: Region = None,
    stack: StackName = None,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Check every invariant of docs/reliability.md over a directory or a deployed stack.

    It changes nothing, and may run while orders go on. It ends with 1 if an invariant is broken,
    and shows the first ten findings: the order or SKU, what is wrong, and the way out.

    A directory is read as of one moment. The items of a stack are read one after the other, its
    queues by a sample, and its events not at all.
    """
    there = deployed(endpoint_url, profile, region, stack)
    if there is None:
        from infra.audit import directory as here

        where = directory(data)
        report, place = here.audit(where, stack_of(where)), str(where.root)
    else:
        from infra.audit import stack as away

        report, place = away.audit(there, clock.now()), there.name("OrdersTable")
    _tell(report, place)
    number = report.findings.number
    finish(
        {
            "ok": not number,
            "findings": [finding.to_json() for finding in report.findings.first],
            "number": number,
            "by_invariant": report.findings.counts,
            "checked": report.checked,
            "not_checked": report.unchecked,
        },
        as_json=as_json,
    )
    if number:
        shown = len(report.findings.first)
        raise CommandError(
            f"{place} breaks invariants: {number} findings"
            + (f", of which the first {shown} are shown" if number > shown else "")
        )


def _tell(report: Report, place: str) -> None:
    if report.findings.first:
        table = Table("invariant", "of", "what is wrong", "the way out")
        for finding in report.findings.first:
            cells = (finding.invariant, finding.subject, finding.problem, finding.remedy)
            table.add_row(*cells)
        console.print(table)
    figures = ", ".join(
        f"{number} {name.replace('_', ' ')}" for name, number in report.checked.items()
    )
    console.print(f"checked in {place}: {figures or 'nothing'}")
    for line in report.unchecked:
        console.print(f"not checked: {line}")
    if not report.findings.number:
        console.print("every invariant holds")
