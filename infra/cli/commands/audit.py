"""``orders audit``: check the invariants of ``docs/reliability.md``."""

from infra.audit.findings import Report
from infra.cli.errors import CommandError
from infra.cli.options import DATA, Data, Json, StackOptions, directory, expand_options
from infra.local.platform import stack_of
from infra.terminal.output import Table, console, finish
from kernel import clock


@expand_options
def audit(*, stack: StackOptions, data: Data = DATA, as_json: Json = False) -> None:
    """Check every invariant of docs/reliability.md in a data directory or a deployed stack.

    An audit only reads, and may run while orders are processed. It exits with 1 if an invariant is
    broken, and shows the first ten findings: the order or SKU, the problem, and the remedy.

    A directory is read as of one moment. The items of a stack are read one after the other, its
    queues as a sample, and its events not at all.
    """
    deployed = stack.deployed_stack()
    if deployed is None:
        from infra.audit import directory as audit_of_directory

        where = directory(data)
        report, name = audit_of_directory.audit(where, stack_of(where)), str(where.root)
    else:
        from infra.audit import stack as audit_of_stack

        report, name = audit_of_stack.audit(deployed, clock.now()), deployed.name("OrdersTable")
    _show(report, name)
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
            f"{name} breaks invariants: {number} findings"
            + (f", of which the first {shown} are shown" if number > shown else "")
        )


def _show(report: Report, name: str) -> None:
    if report.findings.first:
        table = Table("invariant", "of", "problem", "remedy")
        for finding in report.findings.first:
            cells = (finding.invariant, finding.subject, finding.problem, finding.remedy)
            table.add_row(*cells)
        console.print(table)
    figures = ", ".join(
        f"{number} {kind.replace('_', ' ')}" for kind, number in report.checked.items()
    )
    console.print(f"checked in {name}: {figures or 'nothing'}")
    for line in report.unchecked:
        console.print(f"not checked: {line}")
    if not report.findings.number:
        console.print("every invariant holds")
