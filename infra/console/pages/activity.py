"""Activity: operators' actions with their results, and the undo of a discard."""

from infra.console.page import BadFilter, Page, View, Visit
from infra.views.activity import ActivityCursor, activity_page
from infra.views.personal import masked
from storage.sqlite.database import Database


def listed(visit: Visit, database: Database) -> View:
    """Show the newest actions, or those before a cursor."""
    text, who = visit.filter("after"), visit.filter("who")
    try:
        cursor = ActivityCursor.of(text) if text else None
    except ValueError as error:
        raise BadFilter(f"after: {error}") from None
    with_platform = visit.filter("platform") == "yes"
    found = activity_page(database, cursor, who=who, with_platform=with_platform)
    given = {"who": who, "platform": "yes" if with_platform else ""}
    return View(
        "activity/list.html",
        "Activity",
        {"found": found, "given": given, "is_first": not text, "masked_json": masked},
    )


PAGE = Page(name="activity", title="Activity", key="a", icon="activity", gets={"/activity": listed})
