"""Dead letters by cause, and as a file that ``orders replay`` reads."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from infra.cli.dead_letter_output import to_seconds
from infra.cli.errors import CommandError
from infra.cli.replaying.letter_source import event_text
from infra.terminal.output import Styled, console
from infra.views.dead_letter import DeadLetter
from infra.views.letter_groups import LetterFact, LetterGroup, grouped
from kernel.clock import timestamp

SHOWN = 20
"""Groups that are printed; ``--json`` has all."""


def groups_of(letters: Sequence[DeadLetter], by: str, now: float) -> list[LetterGroup]:
    """Return the groups of dead letters, the largest first; a sample's id is its index."""
    facts = [LetterFact.of(letter, index) for index, letter in enumerate(letters)]
    return grouped(facts, by, now)


def as_json(groups: Sequence[LetterGroup], letters: Sequence[DeadLetter]) -> list[dict[str, Any]]:
    """Return the groups for a command's JSON document."""
    return [
        {
            **{name: value for name, value in asdict(group).items() if name != "samples"},
            "first": timestamp(group.first),
            "last": timestamp(group.last),
            "last_hour": group.last_hour,
            "samples": [
                {
                    "id": letters[sample.id].id,
                    "order_id": sample.order_id,
                    "reason": sample.reason,
                }
                for sample in group.samples
            ],
        }
        for group in groups
    ]


def show(groups: Sequence[LetterGroup], letters: Sequence[DeadLetter]) -> None:
    """Print the groups, each with its age and its samples."""
    if not groups:
        console.print("no dead letters")
    for group in groups[:SHOWN]:
        noun = "letter" if group.count == 1 else "letters"
        happens = f"{group.last_hour} in the last hour" if group.last_hour else "none for an hour"
        console.print(Styled(group.label, "bold"))
        console.print(
            f"  {group.count:,} {noun} of {group.orders:,} orders in {', '.join(group.queues)};"
            f" {happens}, the last at {to_seconds(timestamp(group.last))}; group {group.key}"
        )
        for sample in group.samples:
            console.print(f"  {letters[sample.id].id}  {sample.order_id or ''}  {sample.reason}")
    if len(groups) > SHOWN:
        console.print(f"the largest {SHOWN} of {len(groups)} groups; --json has all")


def write_file(file: Path, letters: Sequence[DeadLetter]) -> dict[str, Any]:
    """Write the events of letters as lines, which ``orders replay`` reads; return the counts.

    Raises
    ------
    CommandError
        The file exists, or cannot be written.
    """
    texts = [text for letter in letters if (text := event_text(letter)) is not None]
    lines = [" ".join(text.split("\n")) for text in texts]
    try:
        with file.open("x", encoding="utf-8", errors="surrogateescape") as out:
            out.writelines(f"{line}\n" for line in lines)
    except FileExistsError:
        raise CommandError(f"{file} exists; name another file") from None
    except OSError as error:
        raise CommandError(f"{file} cannot be written: {error.strerror}") from None
    without = len(letters) - len(lines)
    console.print(f"{len(lines):,} events written to {file}; `orders replay {file}` sends them")
    if without:
        console.print(f"{without:,} dead letters have no event, and are not in it")
    return {"file": str(file), "written": len(lines), "without_event": without}
