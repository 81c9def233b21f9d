"""A state graph as Mermaid text and as SVG; the layout is a pure function of the definition.

Positions follow from all edges, so hiding a catch moves nothing. Each state's SVG group has the
class of its kind and the attribute ``data-state``, which a page may restyle.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Any

from infra.asl.graph import Edge, Graph, Node, graph_of

_CHARACTER, _HEIGHT, _PAD, _GAP_X, _GAP_Y, _TITLE = 7.5, 36.0, 16.0, 28.0, 44.0, 26.0
_LANE = 12.0
_LABEL = 40
_STYLE = (
    "text{font:12px sans-serif;fill:#16191f}"
    ".box{fill:#fff;stroke:#545b64}.container>.box{fill:#f2f3f3}"
    ".Choice>.box{fill:#fdf3d1}.Fail>.box{fill:#fde7e7}.Succeed>.box{fill:#e6f4e6}"
    ".edge{fill:none;stroke:#545b64}.catch{stroke:#b0554e;stroke-dasharray:4 3}"
    ".label{font-size:10px;fill:#545b64}"
)
_ARROW = (
    '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
    'markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="#545b64"/></marker></defs>'
)


@dataclass
class Box:
    """A placed state; ``x`` and ``y`` are its upper left corner in the whole drawing."""

    node: Node
    x: float
    y: float
    width: float
    height: float
    parts: list["Layout"] = field(default_factory=list)


@dataclass
class Layout:
    """The placed states of one level."""

    boxes: dict[str, Box]
    edges: list[Edge]
    width: float
    height: float
    ranks: dict[str, int]
    lanes: dict[tuple[bool, str], float]
    """The x of the vertical part of edges that skip rows, by whether they are catches and their
    target: catches are left of the states, others right. It is relative to ``x``."""
    x: float = 0.0

    def lane_of(self, edge: Edge) -> float | None:
        """Return the x of an edge's lane; None for an edge to the next row."""
        lane = self.lanes.get((edge.kind == "catch", edge.target))
        return None if lane is None or self._is_short(edge) else self.x + lane

    def _is_short(self, edge: Edge) -> bool:
        return self.ranks[edge.target] == self.ranks[edge.source] + 1

    def all_boxes(self) -> Iterator[Box]:
        """Yield each box, an outer one before those in it."""
        for box in self.boxes.values():
            yield box
            for part in box.parts:
                yield from part.all_boxes()


def layout(definition: Mapping[str, Any]) -> Layout:
    """Return the positions of a definition's states."""
    return _placed(graph_of(definition))


def _placed(graph: Graph) -> Layout:
    """Place a graph at the origin: a row for each rank, its states side by side and centred."""
    rows: dict[int, list[Box]] = {}
    ranks = _ranks(graph)
    skipping = [edge for edge in graph.edges if ranks[edge.target] != ranks[edge.source] + 1]
    left = list(dict.fromkeys(edge.target for edge in skipping if edge.kind == "catch"))
    right = list(dict.fromkeys(edge.target for edge in skipping if edge.kind != "catch"))
    margin = len(left) * _LANE
    for name, rank in ranks.items():
        rows.setdefault(rank, []).append(_sized(graph.nodes[name]))
    widths = {
        rank: sum(box.width for box in row) + _GAP_X * (len(row) - 1) for rank, row in rows.items()
    }
    width, y = max(widths.values()), 0.0
    for rank in sorted(rows):
        x = margin + (width - widths[rank]) / 2
        for box in rows[rank]:
            _move(box, x, y)
            x += box.width + _GAP_X
        y += max(box.height for box in rows[rank]) + _GAP_Y
    boxes = {box.node.name: box for row in rows.values() for box in row}
    in_order = {name: boxes[name] for name in graph.nodes}
    end = margin + width + _LANE
    lanes = {(True, target): at * _LANE for at, target in enumerate(left)}
    lanes |= {(False, target): end + at * _LANE for at, target in enumerate(right)}
    return Layout(in_order, graph.edges, end + len(right) * _LANE, y - _GAP_Y, ranks, lanes)


def _sized(node: Node) -> Box:
    """Return a state's box at the origin, with its parts placed in it."""
    parts = [_placed(part) for part in node.parts]
    width, height = len(node.name) * _CHARACTER + 2 * _PAD, _HEIGHT
    if parts:
        inner = sum(part.width for part in parts) + _GAP_X * (len(parts) - 1)
        width = max(width, inner + 2 * _PAD)
        height = max(part.height for part in parts) + _TITLE + _PAD
        x = (width - inner) / 2
        for part in parts:
            part.x += x
            for box in part.boxes.values():
                _move(box, x, _TITLE)
            x += part.width + _GAP_X
    return Box(node, 0.0, 0.0, width, height, parts)


def _move(box: Box, x: float, y: float) -> None:
    box.x += x
    box.y += y
    for part in box.parts:
        part.x += x
        for inner in part.boxes.values():
            _move(inner, x, y)


def _ranks(graph: Graph) -> dict[str, int]:
    """Return each state's row: one below its lowest predecessor, edges that close a loop aside."""
    targets: dict[str, list[str]] = {name: [] for name in graph.nodes}
    for edge in graph.edges:
        targets[edge.source].append(edge.target)
    order, back = _depth_first(graph.start, targets)
    ranks = dict.fromkeys(graph.nodes, 0)
    for name in order:
        for target in targets[name]:
            if (name, target) not in back:
                ranks[target] = max(ranks[target], ranks[name] + 1)
    return ranks


def _depth_first(
    start: str, targets: Mapping[str, list[str]]
) -> tuple[list[str], set[tuple[str, str]]]:
    """Return the states in topological order, and the edges that close a loop."""
    done: list[str] = []
    seen, open_, back = {start}, {start}, set()
    stack = [(start, iter(targets[start]))]
    while stack:
        name, rest = stack[-1]
        target = next(rest, None)
        if target is None:
            stack.pop()
            open_.discard(name)
            done.append(name)
        elif target in open_:
            back.add((name, target))
        elif target not in seen:
            seen.add(target)
            open_.add(target)
            stack.append((target, iter(targets[target])))
    return done[::-1], back


def svg(definition: Mapping[str, Any], title: str = "") -> str:
    """Return a definition's graph as an SVG document without scripts or outside resources."""
    drawn = layout(definition)
    width, height = drawn.width + 2 * _PAD, drawn.height + 2 * _PAD
    view = f"{-_PAD:g} {-_PAD:g} {width:g} {height:g}"
    size = f'width="{width:g}" height="{height:g}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{view}" {size} role="img">',
        f"<title>{escape(title or 'State machine')}</title><style>{_STYLE}</style>",
        _ARROW,
        *(_shape(box) for box in drawn.all_boxes()),
        *_lines(drawn),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _shape(box: Box) -> str:
    kinds = f"state {escape(box.node.kind)}{' container' if box.parts else ''}"
    y = box.y + (17 if box.parts else box.height / 2 + 4)
    comment = f"<title>{escape(box.node.comment)}</title>" if box.node.comment else ""
    return (
        f'<g class="{kinds}" data-state="{escape(box.node.name)}">{comment}'
        f'<rect class="box" x="{box.x:g}" y="{box.y:g}" width="{box.width:g}" '
        f'height="{box.height:g}" rx="6"/><text x="{box.x + box.width / 2:g}" y="{y:g}" '
        f'text-anchor="middle">{escape(box.node.name)}</text></g>'
    )


def _lines(drawn: Layout) -> Iterator[str]:
    for edge, path, label in path_of(drawn):
        yield (
            f'<path class="edge {edge.kind}" data-from="{escape(edge.source)}" '
            f'data-to="{escape(edge.target)}" marker-end="url(#arrow)" d="{path}">'
            f"<title>{escape(edge.label or edge.kind)}</title></path>"
        )
        if label:
            yield label
    for box in drawn.boxes.values():
        for part in box.parts:
            yield from _lines(part)


def path_of(drawn: Layout) -> Iterator[tuple[Edge, str, str]]:
    """Yield each edge of a level with its path, and its label as SVG or an empty text."""
    bottoms: dict[int, float] = {}
    for name, box in drawn.boxes.items():
        rank = drawn.ranks[name]
        bottoms[rank] = max(bottoms.get(rank, 0.0), box.y + box.height)
    for edge in drawn.edges:
        source, target = drawn.boxes[edge.source], drawn.boxes[edge.target]
        lane = drawn.lane_of(edge)
        if lane is None:
            path = _curve(source, target)
        else:
            path = _detour(source, target, lane, bottoms[drawn.ranks[edge.source]])
        text = ""
        if lane is None and edge.kind in ("choice", "default"):
            short = len(edge.label) <= _LABEL
            label = edge.label if short else f"{edge.label[: _LABEL - 1]}…"
            place = f'x="{target.x + target.width / 2:g}" y="{target.y - 9:g}"'
            text = f'<text class="label" {place} text-anchor="middle">{escape(label)}</text>'
        yield edge, path, text


def _curve(source: Box, target: Box) -> str:
    """Return the line of an edge to the next row."""
    x, y = source.x + source.width / 2, source.y + source.height
    to_x, to_y = target.x + target.width / 2, target.y
    middle = (y + to_y) / 2
    return f"M{x:g} {y:g}C{x:g} {middle:g} {to_x:g} {middle:g} {to_x:g} {to_y:g}"


def _detour(source: Box, target: Box, lane: float, bottom: float) -> str:
    """Return the line of an edge that skips rows: it crosses no state.

    It leaves below its row, whose end is ``bottom``, follows its lane and enters its target from
    above.
    """
    shift = _LANE if lane > source.x else -_LANE
    x, to_x = source.x + source.width / 2 + shift, target.x + target.width / 2 + shift
    below, above = bottom + _GAP_Y / 4, target.y - _GAP_Y / 3
    start = source.y + source.height
    return f"M{x:g} {start:g}V{below:g}H{lane:g}V{above:g}H{to_x:g}V{target.y:g}"


def mermaid(definition: Mapping[str, Any]) -> str:
    """Return a definition's graph as a Mermaid flowchart."""
    numbers: dict[int, str] = {}
    lines = ["flowchart TD", *_mermaid_lines(graph_of(definition), numbers, "  ")]
    return "\n".join(lines) + "\n"


def _mermaid_lines(graph: Graph, numbers: dict[int, str], indent: str) -> Iterator[str]:
    ids = {}
    for name, node in graph.nodes.items():
        ids[name] = numbers[id(node)] = f"s{len(numbers)}"
        text = _quoted(name)
        if node.parts:
            yield f"{indent}subgraph {ids[name]} [{text}]"
            for part in node.parts:
                yield from _mermaid_lines(part, numbers, indent + "  ")
            yield f"{indent}end"
        elif node.kind == "Choice":
            yield f"{indent}{ids[name]}{{{text}}}"
        elif node.is_end:
            yield f"{indent}{ids[name]}([{text}])"
        else:
            yield f"{indent}{ids[name]}[{text}]"
    for edge in graph.edges:
        arrow = "-.->" if edge.kind == "catch" else "-->"
        label = f"|{_quoted(edge.label)}|" if edge.label else ""
        yield f"{indent}{ids[edge.source]} {arrow}{label} {ids[edge.target]}"


def _quoted(text: str) -> str:
    """Return a text in quotes, with Mermaid's entities for characters that end or format it."""
    safe = text.replace("#", "#35;").replace('"', "#quot;").replace("<", "#lt;")
    return f'"{" ".join(safe.split())}"'
