"""The topics of ``orders help``: the sections of ``docs/operating.md``."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from infra.terminal.output import Styled, Table, console

PAGE = Path(__file__).resolve().parents[2] / "docs" / "operating.md"

_LINK = re.compile(r"\[([^\]]+)\]\([^)]+\)")


def topics() -> Mapping[str, str]:
    """Return the text of each section by its topic: the first word of its heading."""
    _, *sections = re.split(r"^## ", PAGE.read_text("utf-8"), flags=re.MULTILINE)
    return {_topic(section): section for section in sections}


def _topic(section: str) -> str:
    return section.partition("\n")[0].split()[0].rstrip(",").lower()


def print_topic(section: str) -> None:
    """Print a section: paragraphs wrapped, tables laid out, code unchanged."""
    heading, _, text = section.partition("\n")
    console.print(Styled(heading, "bold"))
    for block in _blocks(text):
        console.print()
        if block[0].startswith("```"):
            console.print_whole("\n".join(f"  {line}" for line in block[1:-1]))
        elif block[0].startswith("|"):
            _print_table(block)
        elif block[0].startswith("### "):
            console.print(Styled(block[0].removeprefix("### "), "bold"))
        else:
            console.print(*(_plain(item) for item in _items(block)))


def _blocks(text: str) -> Iterator[list[str]]:
    """Yield the blocks of Markdown: paragraphs, lists, tables and code."""
    block: list[str] = []
    in_code = False
    for line in text.splitlines():
        if line.startswith("```"):
            in_code = not in_code
        if line.strip() or in_code:
            block.append(line)
        elif block:
            yield block
            block = []
    if block:
        yield block


def _items(block: list[str]) -> Iterator[str]:
    """Yield a paragraph as one line, or the items of a list as one line each."""
    item = ""
    for line in block:
        if re.match(r"(- |\d+\. )", line) and item:
            yield item
            item = ""
        item = f"{item} {line.strip()}".strip()
    yield item


def _print_table(block: list[str]) -> None:
    rows = [
        [_plain(cell.strip()).replace("`", "") for cell in line.strip("|").split("|")]
        for line in block
    ]
    head, _, *body = rows
    table = Table(*head)
    for row in body:
        table.add_row(*row)
    console.print(table)


def _plain(text: str) -> str:
    """Return a text without the marks of links and of bold type."""
    return _LINK.sub(r"\1", text).replace("**", "")
