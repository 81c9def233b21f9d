"""``python -m infra.contracts.schemas``: write ``events_schema/`` from the models, or check it."""

from typing import Annotated

import typer

from infra.contracts.baseline import broken, present, problems, released
from infra.contracts.folder import BASELINE, FOLDER
from infra.contracts.generated import differing, release, write
from infra.contracts.participants import participants
from infra.terminal.output import console, errors

app = typer.Typer(add_completion=False)


@app.command()
def schemas(
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit 1 if a file differs.")
    ] = False,
    publish: Annotated[
        bool, typer.Option("--release", help="Write these contracts as the released ones.")
    ] = False,
) -> None:
    """Generate schemas, examples, AsyncAPI and the index page from services/kernel/events.py."""
    if check:
        _check()
        return
    changed = write(FOLDER)
    for path in changed:
        console.print(f"{FOLDER.name}/{path}")
    console.print(f"{len(changed)} written" if changed else "All files are up to date.")
    if publish:
        _release()


def _check() -> None:
    differences = differing(FOLDER)
    for path, problem in differences.items():
        errors.print(f"{FOLDER.name}/{path} {problem}")
    if differences:
        errors.print("Run: make schemas")
        raise typer.Exit(1)
    _check_release()
    console.print(f"{FOLDER.name}/ agrees with the models, and breaks no user of the last release.")


def _check_release() -> None:
    """Print each difference from the last release; exit with 1 if one breaks a user."""
    old, new = released(), present()
    breaking = broken(old, new)
    for problem in problems(old, new):
        errors.print(problem)
    for name in breaking:
        hurt = participants().get(name)
        readers = sorted({str(reader) for reader in hurt.readers}) if hurt else []
        senders = ", ".join(hurt.senders) if hurt else "unknown"
        read_by = ", ".join(readers) or "no part of the platform"
        errors.print(f"{name}: sent by {senders}; read by {read_by}")
    if breaking:
        raise typer.Exit(1)


def _release() -> None:
    broken = problems(released(), present())
    for problem in broken:
        errors.print(problem)
    if broken:
        raise typer.Exit(1)
    release(FOLDER)
    console.print(f"{FOLDER.name}/{BASELINE} has the released contracts now.")


if __name__ == "__main__":
    app()
