"""Activity on a stack: the operations on dead letters, and where the other actions are."""

from dataclasses import replace

from infra.console.page import Feature, View, Visit
from infra.console.pages import activity as shared
from infra.console.stack.source import StackSource

NEWEST = 50


def _listed(_: Visit, source: StackSource) -> View:
    letters = source.letters.records.newest(NEWEST)
    entries = [(letter, entry) for letter in letters for entry in letter.history or ()]
    entries.sort(key=lambda pair: str(pair[1].at), reverse=True)
    names = {"entries": entries[:NEWEST], "note": source.missing[Feature.ACTIVITY]}
    return View("stack/activity.html", "Activity", names, is_current=False)


PAGE = replace(shared.PAGE, gets={"/activity": _listed})
