"""The state graph of a run as SVG without styles or scripts: a page's style sheet draws it.

Each state is a link. Its group has the classes of its kind and its status; its text says both. An
edge that the run took has the class ``taken``. A catch that it did not take is drawn only if
``errors`` are wanted: positions follow from all edges, so nothing moves.
"""

import json
from collections.abc import Callable, Iterator
from functools import lru_cache
from html import escape

from infra.views.run_story import INFERRED, RunStory, StateVisit
from infra.views.state_graph import Box, Layout, layout, path_of

_PAD = 16.0

SIGNS = {
    "succeeded": "✓",
    "retried": "↻",
    "caught": "!",
    "failed": "✕",
    "running": "▸",
    INFERRED: "≈",
}
"""The sign of a state's status, in addition to its colour."""


@lru_cache(maxsize=16)
def _layout(definition: str) -> Layout:
    return layout(json.loads(definition))


def graph(
    run: RunStory, address: Callable[[str], str], selected: str, now: float, *, errors: bool = False
) -> str:
    """Return the graph of a run; ``address`` returns the link of a state."""
    drawn = _layout(json.dumps(run.definition, sort_keys=False))
    width, height = drawn.width + 2 * _PAD, drawn.height + 2 * _PAD
    view = f"{-_PAD:g} {-_PAD:g} {width:g} {height:g}"
    visits, counts = run.last_visits(), run.counts()
    taken = {(visit.came_from, visit.state) for visit in run.visits}
    slowest = max(visits.values(), key=lambda visit: visit.seconds(now), default=None)
    head = (
        f'<svg class="graph" viewBox="{view}" width="{width:g}" height="{height:g}" role="group"'
        f' aria-label="States of run {escape(run.name)}">'
    )
    lines = [head, _markers(), *_edges(drawn, taken, errors=errors)]
    for box in drawn.all_boxes():
        name = box.node.name
        visit = visits.get(name)
        state = _State(
            visit, counts.get(name, 0), name == selected, visit is slowest and len(visits) > 1
        )
        lines.append(_box(box, state, address(name), now))
    return "\n".join([*lines, "</svg>"])


class _State:
    """The drawing of one state."""

    def __init__(
        self, visit: StateVisit | None, visits: int, selected: object, slowest: object
    ) -> None:
        self.visit, self.visits = visit, visits
        self.selected, self.slowest = bool(selected), bool(slowest)

    @property
    def status(self) -> str:
        """The status of the last visit, or ``unreached``."""
        return self.visit.status if self.visit is not None else "unreached"


def _box(box: Box, state: _State, address: str, now: float) -> str:
    visit, name = state.visit, box.node.name
    classes = ["state", box.node.kind, state.status]
    classes += ["container"] * bool(box.parts) + ["selected"] * state.selected
    names = escape(" ".join(classes))
    badges = _badges(state, now)
    title_y = box.y + (17 if box.parts else box.height / 2 + (0 if badges else 4))
    middle = box.x + box.width / 2
    sign = SIGNS.get(state.status, "")
    visible = f"{sign} {name} {' · '.join(badges)}".strip()
    said = f"{visible}, {state.status if visit else 'not reached'}"
    current = ' aria-current="true"' if state.selected else ""
    lines = [
        f'<a href="{escape(address)}" data-state="{escape(name)}"{current}',
        f' aria-label="{escape(said)}"><g class="{names}">',
        f'<rect class="box" x="{box.x:g}" y="{box.y:g}" width="{box.width:g}"',
        f' height="{box.height:g}" rx="6"/>',
        f'<text x="{middle:g}" y="{title_y:g}" text-anchor="middle">',
        f"{escape(f'{sign} {name}'.strip())}</text>",
    ]
    if badges:
        y = box.y + 17 if box.parts else box.y + box.height / 2 + 13
        x, anchor = (box.x + box.width - 8, "end") if box.parts else (middle, "middle")
        text = " · ".join(badges)
        lines.append(
            f' <text class="badge" x="{x:g}" y="{y:g}" text-anchor="{anchor}">{escape(text)}</text>'
        )
    return "".join([*lines, "</g></a>"])


def _badges(state: _State, now: float) -> list[str]:
    """Return the short texts of a state: duration, attempts, visits, and whether it is slowest."""
    visit = state.visit
    if visit is None or visit.status == INFERRED:  # its begin and its end are not known
        return []
    seconds = visit.seconds(now)
    badges = [f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"]
    if len(visit.attempts) > 1:
        badges.append(f"×{len(visit.attempts)}")  # noqa: RUF001 - the sign of times
    if state.visits > 1:
        badges.append(f"↻{state.visits}")
    if state.slowest:
        badges.append("slowest")
    return badges


def _edges(drawn: Layout, taken: set[tuple[str, str]], *, errors: bool) -> Iterator[str]:
    for edge, path, label in path_of(drawn):
        is_taken = (edge.source, edge.target) in taken
        if edge.kind == "catch" and not (is_taken or errors):
            continue
        marker, way = ("taken-arrow", " taken") if is_taken else ("arrow", "")
        yield (
            f'<path class="edge {edge.kind}{way}"'
            f' marker-end="url(#{marker})" d="{path}">'
            f"<title>{escape(edge.label or edge.kind)}</title></path>"
        )
        yield label
    for box in drawn.boxes.values():
        for part in box.parts:
            yield from _edges(part, taken, errors=errors)


def _markers() -> str:
    return "".join(
        f'<defs><marker id="{name}" class="{name}" viewBox="0 0 8 8" refX="7" refY="4"'
        ' markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z"/></marker></defs>'
        for name in ("arrow", "taken-arrow")
    )
