"""An event's changelog: written by hand, begun by the generator, read for the index page."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Release:
    """A version, and what is new in it."""

    version: str
    changes: tuple[str, ...]


def first_changelog(name: str, version: str) -> str:
    """Return what an event's changelog begins with."""
    return (
        f"# {name}\n\n"
        "Versions of this contract, the newest first. Within a major version nothing breaks.\n\n"
        f"## {version}\n\n- First version.\n"
    )


def releases(text: str) -> list[Release]:
    """Return the versions in a changelog: a heading ``## 1.0`` each, and its list."""
    found: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        if line.startswith("## "):
            found.append((line.removeprefix("## ").strip(), []))
        elif found and line.startswith("- "):
            found[-1][1].append(line.removeprefix("- ").strip())
        elif found and found[-1][1] and line.startswith("  "):
            found[-1][1][-1] += f" {line.strip()}"
    return [Release(version, tuple(changes)) for version, changes in found]
