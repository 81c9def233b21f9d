"""``orders config``: every setting of one machine, with its value and its source."""

from typing import Annotated

import typer

from infra.cli.errors import CommandError
from infra.cli.options import DATA, Data, Json, directory
from infra.settings.reading import DEFAULT, OTHER_FILE, Value, read
from infra.terminal.output import Styled, Table, console, finish


def config(
    name: Annotated[
        str | None, typer.Argument(metavar="SETTING", help="One setting, with its meaning.")
    ] = None,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Print the settings of one machine: value, source and meaning.

    A setting is an environment variable, a line of settings.toml in the data directory, or has its
    default, in this order. A server reads its settings when it starts.
    """
    where = directory(data)
    found = read(where.root)
    if name is not None and name not in found.values:
        raise CommandError(f"{name} is not a setting; `orders config` lists them")
    shown = [found.values[name]] if name is not None else list(found.values.values())
    table = Table("setting", "value", "source")
    for value in shown:
        style = "" if value.source == DEFAULT else "bold"
        table.add_row(value.setting.name, Styled(value.text or "(empty)", style), _source(value))
    console.print(table, "")
    if name is not None:
        setting = shown[0].setting
        console.print(
            setting.meaning,
            f"Environment: {setting.variable}={setting.default}",
            f"{found.file}: {line_of(shown[0])}",
        )
    else:
        console.print(
            f"File: {found.file}{'' if found.file.exists() else ' (does not exist)'};"
            f" {OTHER_FILE} names another.",
            "`orders config SETTING` prints the meaning of one.",
        )
    if where.served_at() is not None:
        console.print("The directory is served: a change applies at the server's next start.")
    finish(
        {
            "file": str(found.file),
            "settings": [_in_json(value) for value in shown],
        },
        as_json=as_json,
    )


def _source(value: Value) -> str:
    """Return a source for the table, in which the file has a short name."""
    if value.source == DEFAULT:
        return DEFAULT
    return value.setting.variable if value.source == "environment" else "file"


def line_of(value: Value) -> str:
    """Return the line of the file that sets the value."""
    setting, text = value.setting, value.text or value.setting.default
    if setting.is_list:
        return f"{setting.name} = [{', '.join(_quoted(part) for part in value.parts)}]"
    return f"{setting.name} = {text if text.isdigit() else _quoted(text)}"


def _quoted(text: str) -> str:
    """Return a text as a basic string of TOML."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _in_json(value: Value) -> dict[str, object]:
    setting = value.setting
    return {
        "name": setting.name,
        "value": value.text,
        "source": value.source,
        "default": setting.default,
        "variable": setting.variable,
        "template_parameter": setting.is_parameter,
        "meaning": setting.meaning,
    }
