"""An event's changelog: created by the generator, edited by hand, shown on the index page."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Release:
    """A version and its changes."""

    version: str
    changes: tuple[str, ...]


def first_changelog(name: str, version: str) -> str:
    """Return the first text of an event's changelog."""
    return (
        f"# {name}\n\n"
        "Versions of this contract, the newest first. Within a major version nothing breaks.\n\n"
        f"## {version}\n\n- First version.\n"
    )


def releases(text: str) -> list[Release]:
    """Return the versions in a changelog: a heading ``## 1.0`` each, and its list."""
    versions: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        if line.startswith("## "):
            versions.append((line.removeprefix("## ").strip(), []))
        elif versions and line.startswith("- "):
            versions[-1][1].append(line.removeprefix("- ").strip())
        elif versions and versions[-1][1] and line.startswith("  "):
            versions[-1][1][-1] += f" {line.strip()}"
    return [Release(version, tuple(changes)) for version, changes in versions]
