"""``orders events``: the contracts of events, and their checks on files."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

import typer

from infra.cli.errors import CommandError
from infra.cli.event_files import Line, UnreadableFile, read_events
from infra.cli.event_reader import print_skipped_files
from infra.cli.options import DATA, Data, Json, directory
from infra.contracts.baseline import Contract, present, released
from infra.contracts.compatibility import Change, compare
from infra.contracts.fields import Field, detail_fields
from infra.contracts.folder import EXAMPLES, FOLDER, INVALID, PARTICIPANTS, SCHEMA, slug
from infra.local.engine.unmatched_events import MAX_KINDS
from infra.local.platform import stack_of
from infra.terminal.output import Styled, Table, console, finish, print_error
from infra.views.unmatched import unmatched_events
from kernel.events import REQUESTS

app = typer.Typer(
    help="The contracts of all events: list, show, validate, diff, unmatched.",
    no_args_is_help=True,
)


@app.command("list")
def list_events(as_json: Json = False) -> None:
    """List every event with its version, sender and meaning."""
    rows = [_summary(name, contract) for name, contract in present().items()]
    if as_json:
        finish({"events": rows}, as_json=True)
        return
    table = Table("Event", "Version", "From", "Meaning")
    for row in rows:
        table.add_row(row["name"], row["version"], row["from"], row["meaning"])
    console.print(table)


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="Such as order-created or 'Order Created'.")],
    as_json: Json = False,
) -> None:
    """Show one event: its fields, an example, and the path of its schema."""
    event = _event_name(name)
    contract = present()[event]
    fields = detail_fields(contract.schema)
    example = _example(event)
    if as_json:
        rows = [
            {
                "name": field.name,
                "type": field.type,
                "required": field.required,
                "description": field.description,
                "limits": field.limits,
                "pattern": field.pattern,
            }
            for field in fields
        ]
        shown = {**_summary(event, contract), "fields": rows, "example": example}
        shown |= _participants(event)
        finish(shown, as_json=True)
        return
    summary = _summary(event, contract)
    console.print(Styled(f"{event} {contract.version}, from {summary['from']}", "bold"))
    console.print(summary["meaning"], "", _field_table(fields), "")
    if example:
        console.print_json(example)
    participants = _participants(event)
    console.print("", f"Sent by:  {', '.join(participants['senders'])}")
    console.print(f"Read by:  {', '.join(participants['readers'])}")
    console.print(f"Schema:   {summary['schema']}")
    console.print(f"Examples: {Path(summary['schema']).parent / EXAMPLES}")
    console.print(f"Invalid:  {Path(summary['schema']).parent / INVALID}, with the errors they get")


def _participants(event: str) -> dict[str, list[str]]:
    """Return the senders and readers of an event, as `make schemas` found them."""
    participants = json.loads((FOLDER / PARTICIPANTS).read_text(encoding="utf-8")).get(event, {})
    readers = [each["function"] or each["target"] for each in participants.get("readers", [])]
    return {"senders": participants.get("senders", []), "readers": list(dict.fromkeys(readers))}


@app.command()
def unmatched(
    limit: Annotated[int, typer.Option(min=1, max=MAX_KINDS, help="Rows at most.")] = 50,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """List events that no rule of the bus takes, with the nearest rule and its failed condition."""
    where = directory(data)
    found = unmatched_events(where.reader(), stack_of(where).rules, limit)
    if not found:
        console.print("Every event of the last 14 days matched a rule.")
    for each in found:
        head = f"{each.count} x source {each.source!r}, detail type {each.detail_type!r}"
        console.print(Styled(head, "bold"))
        console.print(f"  latest  {each.last}, {each.last_event_id}")
        console.print(f"  nearest {each.nearest_rule or 'none'}: {each.why}")
    finish({"unmatched": [asdict(each) for each in found]}, as_json=as_json)


@app.command()
def validate(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="JSON, ndjson, a folder, or - for stdin.")
    ],
    as_json: Json = False,
) -> None:
    """Check events against their contracts; exit with 1 if one breaks its contract."""
    events, problems, unreadable = 0, [], 0
    for file in files:
        print_skipped_files(Path(file))
        try:
            for line in read_events(file):
                events += 1
                if line.problem:
                    problems.append(_problem(line))
                    if not as_json:
                        for problem in line.all_problems:
                            console.print(f"{line.path}:{line.number}: {problem}")
        except UnreadableFile as error:
            unreadable += 1
            print_error(str(error))
    summary = {
        "events": events,
        "valid": events - len(problems),
        "invalid": len(problems),
        "unreadable_files": unreadable,
    }
    if as_json:
        finish({**summary, "problems": problems}, as_json=True)
    else:
        console.print(_counts(summary))
    if not (events or unreadable):
        raise CommandError(f"{', '.join(files)}: no event; write one per line, or a JSON list")
    if problems or unreadable:
        raise typer.Exit(1)


@app.command()
def diff(
    old: Annotated[
        str,
        typer.Argument(help="A schema file. Alone, an event's name: its released schema."),
    ],
    new: Annotated[str | None, typer.Argument(help="The newer schema file.")] = None,
    as_json: Json = False,
) -> None:
    """Compare two schemas of an event; exit with 1 if users of the older one would break."""
    name, before, after = _pair(old, new)
    changes = compare(before, after)
    breaking = [change for change in changes if change.breaks(name)]
    compatible = [change for change in changes if not change.breaks(name)]
    if as_json:
        answer = {"breaking": _plain(breaking), "compatible": _plain(compatible)}
        finish({"event": name, **answer}, as_json=True)
    else:
        for title, listed in (("breaking", breaking), ("compatible", compatible)):
            for change in listed:
                console.print(f"{title}: {change}")
        if not changes:
            console.print(f"{name or 'The event'}: nothing changed that affects validity.")
    if breaking:
        raise typer.Exit(1)


def _pair(old: str, new: str | None) -> tuple[str, Mapping[str, Any], Mapping[str, Any]]:
    """Return the event's name and the two schemas to compare."""
    if new is not None:
        after = _schema(new)
        return str(after.get("title", "")), _schema(old), after
    if Path(old).suffix == ".json":
        raise CommandError(f"{old}: give a second schema file to compare it with")
    name = _event_name(old)
    baseline = released()
    if name not in baseline:
        raise CommandError(
            f"{name} is not released yet; run python -m infra.contracts.schemas --release"
        )
    return name, baseline[name].schema, present()[name].schema


def _schema(path: str) -> Mapping[str, Any]:
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise CommandError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise CommandError(f"{path}: is not a JSON schema: {error}") from None
    if not isinstance(content, dict) or "$schema" not in content:
        raise CommandError(f"{path}: is not a JSON schema: it has no $schema")
    return content


def _event_name(text: str) -> str:
    """Return the detail type of a name; case, spaces and hyphens are ignored."""
    names = {_letters(name): name for name in present()}
    name = names.get(_letters(text))
    if name is None:
        close = get_close_matches(_letters(text), names, 1)
        hint = f"did you mean {slug(names[close[0]])}?" if close else "see: orders events list"
        raise CommandError(f"no event is named {text!r}; {hint}")
    return name


def _letters(name: str) -> str:
    return re.sub(r"[\W_]", "", name).lower()


def _summary(name: str, contract: Contract) -> dict[str, str]:
    return {
        "name": name,
        "version": contract.version,
        "from": "upstream" if name in REQUESTS else "platform",
        "meaning": contract.schema["description"],
        "schema": str(FOLDER / slug(name) / SCHEMA),
    }


def _example(name: str) -> Any:
    path = FOLDER / slug(name) / SCHEMA
    examples = json.loads(path.read_text(encoding="utf-8"))["examples"] if path.is_file() else []
    return examples[0] if examples else None


def _field_table(fields: Sequence[Field]) -> Table:
    table = Table("Field", "Type", "", "Meaning and limits")
    for field in fields:
        limits = ", ".join(filter(None, (field.limits, field.pattern)))
        limited = f"{field.description} ({limits})" if limits and field.description else limits
        meaning = limited or field.description
        table.add_row(field.name, field.type, "required" * field.required, meaning)
    return table


def _problem(line: Line) -> dict[str, Any]:
    return {
        "file": line.path,
        "line": line.number,
        "field": line.field,
        "problem": line.problem,
        "errors": [each._asdict() for each in line.problems],
    }


def _counts(summary: Mapping[str, int]) -> str:
    events = summary["events"]
    counts = [f"{events:,} event{'s' * (events != 1)}: {summary['valid']:,} valid"]
    counts += [f"{summary['invalid']:,} invalid"] if summary["invalid"] else []
    files = summary["unreadable_files"]
    counts += [f"{files} file{'s' * (files > 1)} could not be read"] if files else []
    return ", ".join(counts) + "."


def _plain(changes: Sequence[Change]) -> list[dict[str, str]]:
    return [{"field": change.field, "what": change.what} for change in changes]
