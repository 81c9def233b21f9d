"""Charts as inline SVG, and their self-contained page, with a light and a dark colour scheme."""

from collections.abc import Mapping, Sequence
from html import escape
from math import floor, log10

Point = tuple[str, float]

WIDE = 916
"""Width in pixels inside a card on a wide screen: chart text then has the size of other text."""

HALF = 408
"""Width in pixels inside a card that shares its row with another."""

_HEIGHT = 230
_LEFT = 60
_RIGHT = 12
_TOP = 14
_BOTTOM = 28
_ROW = 30
_MAX_LABEL = 34
_APART = 14
_SMALL = 0.1
_INSET = 30
_MAX_DOTS = 60

STYLE = """
:root { color-scheme: light dark; --ground: #f5f6f8; --card: #fff; --ink: #1b2130; --muted: #626c7e;
  --rule: #e2e5ea; --c0: #2f6fdf; --c1: #d9822b; --c2: #1d9a6c; --c3: #c2456b; --c4: #7a5bd0;
  --c5: #4c93a8; --good: #1d9a6c; --bad: #c9413f; --wait: #d9822b }
@media (prefers-color-scheme: dark) { :root { --ground: #12151c; --card: #1b202a; --ink: #e7eaf0;
  --muted: #98a2b3; --rule: #2d3441; --c0: #6ea2f7; --c1: #f0a75a; --c2: #4cc79a; --c3: #ec7f9f;
  --c4: #a88df0; --c5: #7cc0d4; --good: #4cc79a; --bad: #f07a77; --wait: #f0a75a } }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 1000px; padding: 32px 20px 48px; background: var(--ground);
  color: var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif }
h1 { font-size: 26px; line-height: 1.2; margin: 0; letter-spacing: -.01em }
h2 { font-size: 15px; margin: 0 0 14px; font-weight: 600 }
p { margin: 4px 0 0 } .muted { color: var(--muted) }
header { margin-bottom: 24px }
section { background: var(--card); border: 1px solid var(--rule); border-radius: 12px;
  padding: 18px 20px; margin-top: 16px; overflow-x: auto }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(200px, 1fr)); gap: 12px }
@media (max-width: 460px) { .tiles { grid-template-columns: 1fr 1fr } }
.tile { background: var(--card); border: 1px solid var(--rule); border-radius: 12px;
  padding: 14px 16px }
.tile b { display: block; font-size: 22px; line-height: 1.3; font-variant-numeric: tabular-nums }
.tile b + b { font-size: 15px; line-height: 1.5 }
.tile span { color: var(--muted); font-size: 13px }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(380px, 1fr)); gap: 0 16px }
@media (max-width: 460px) { .pair { grid-template-columns: 1fr } }
svg { display: block; width: 100%; height: auto; font-size: 13px }
svg.wide { min-width: 600px }
svg text { fill: var(--muted) } svg .name, svg .value { fill: var(--ink) }
svg .grid { stroke: var(--rule) } svg .axis { stroke: var(--muted); stroke-opacity: .5 }
.c0 { --c: var(--c0) } .c1 { --c: var(--c1) } .c2 { --c: var(--c2) } .c3 { --c: var(--c3) }
.c4 { --c: var(--c4) } .c5 { --c: var(--c5) } .good { --c: var(--good) } .bad { --c: var(--bad) }
.wait { --c: var(--wait) }
svg rect, svg circle { fill: var(--c) } svg rect:hover { opacity: .75 }
svg polyline { fill: none; stroke: var(--c); stroke-width: 2; stroke-linejoin: round }
.legend { display: flex; flex-wrap: wrap; gap: 4px 16px; font-size: 13px; margin: 0 0 8px }
.legend i { display: inline-block; width: 10px; height: 10px; border-radius: 3px;
  background: var(--c); margin-right: 6px }
table { border-collapse: collapse; width: 100%; font-size: 14px }
th { text-align: left; font-weight: 600; color: var(--muted); font-size: 13px }
th, td { padding: 6px 16px 6px 0; border-bottom: 1px solid var(--rule) }
tr:last-child td { border-bottom: 0 } .number { text-align: right; padding-right: 0;
  padding-left: 16px; font-variant-numeric: tabular-nums; white-space: nowrap }
"""

TONES = 6
"""Number of series colours."""


def page(title: str, subtitle: str, body: str) -> str:
    """Return a self-contained page of HTML; title and subtitle are plain text."""
    return (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n"
        f'<header><h1>{escape(title)}</h1>\n<p class="muted">{escape(subtitle)}</p></header>\n'
        f"{body}\n</html>\n"
    )


def section(title: str, body: str) -> str:
    """Return a card with a heading; the body is HTML."""
    return f"<section><h2>{escape(title)}</h2>\n{body}</section>\n"


def tiles(facts: Sequence[tuple[str, Sequence[str]]]) -> str:
    """Return a row of labelled figures; a figure may have several lines."""
    figures = "\n".join(
        f'<div class="tile">{"".join(f"<b>{escape(line)}</b>" for line in lines)}'
        f"<span>{escape(label)}</span></div>"
        for label, lines in facts
    )
    return f'<div class="tiles">\n{figures}\n</div>\n'


def table(names: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[bool]) -> str:
    """Return a table; number columns are aligned right."""
    sides = [' class="number"' if number else "" for number in numbers]
    head = "".join(f"<th{side}>{escape(name)}" for name, side in zip(names, sides, strict=True))
    body = "\n".join(
        "<tr>" + "".join(f"<td{side}>{escape(cell)}" for cell, side in zip(row, sides, strict=True))
        for row in rows
    )
    return f"<table>\n<tr>{head}\n{body}\n</table>\n"


def columns(points: Sequence[Point], label: str) -> str:
    """Return a chart of vertical bars over an axis of labels, such as the hours of a day."""
    scale = _Scale([value for _, value in points])
    room = (WIDE - _LEFT - _RIGHT) / max(len(points), 1)
    width = min(room * 0.72, 48)
    middles = [_LEFT + room * (place + 0.5) for place in range(len(points))]
    marks = [_below(middles, [name for name, _ in points])]
    for middle, (name, value) in zip(middles, points, strict=True):
        top, bottom = sorted((scale.y(value), scale.y(0)))
        marks.append(
            f'<rect class="c0" x="{middle - width / 2:.1f}" y="{top:.1f}" width="{width:.1f}"'
            f' height="{bottom - top:.1f}" rx="2"><title>{escape(name)}: {number(value)}'
            "</title></rect>"
        )
    return _svg(label, WIDE, _HEIGHT, scale.grid() + "".join(marks))


def bars(
    points: Sequence[Point], label: str, tones: Sequence[str] = (), width: float = WIDE
) -> str:
    """Return a chart of horizontal bars, each with its name and its value."""
    gutter = max((_breadth(_short(name)) for name, _ in points), default=0) + 14
    values = [value for _, value in points]
    end = max((_breadth(number(value)) for value in values), default=0) + 12
    low, high = min([0.0, *values]), max([0.0, *values])
    unit = (width - gutter - end) / ((high - low) or 1)
    marks = []
    for place, (name, value) in enumerate(points):
        middle = _ROW * (place + 0.5)
        left = gutter + (min(value, 0) - low) * unit
        length = max(abs(value) * unit, 1.5)
        tone = tones[place] if tones else "c0"
        marks.append(
            f'<text class="name" x="{gutter - 10:.1f}" y="{middle + 4.5:.1f}" text-anchor="end">'
            f"{escape(_short(name))}</text>"
            f'<rect class="{tone}" x="{left:.1f}" y="{middle - 10:.1f}" width="{length:.1f}"'
            f' height="20" rx="3"><title>{escape(name)}: {number(value)}</title></rect>'
            f'<text class="value" x="{left + length + 8:.1f}" y="{middle + 4.5:.1f}">'
            f"{number(value)}</text>"
        )
    return _svg(label, width, _ROW * len(points), "".join(marks))


def lines(
    places: Sequence[float],
    names: Sequence[str],
    series: Mapping[str, Sequence[float | None]],
    label: str,
) -> str:
    """Return a chart with one line per series; ``places`` are the positions of the names."""
    scale = _Scale([value for values in series.values() for value in values if value is not None])
    reach = (max(places) - min(places)) or 1
    room = WIDE - _LEFT - _RIGHT - 2 * _INSET
    across = [_LEFT + _INSET + (place - min(places)) / reach * room for place in places]
    marks = [_below(across, names)]
    for tone, (title, values) in enumerate(series.items()):
        dots = [
            (x, scale.y(value), f"{name}{f', {title}' if title else ''}: {number(value)}")
            for x, name, value in zip(across, names, values, strict=True)
            if value is not None
        ]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in dots)
        marks.append(f'<g class="c{tone % TONES}"><polyline points="{path}"/>')
        radius = 3.5 if len(dots) <= _MAX_DOTS else 1.5
        marks.extend(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}"><title>{escape(hint)}</title></circle>'
            for x, y, hint in dots
        )
        marks.append("</g>")
    return legend(series) + _svg(label, WIDE, _HEIGHT, scale.grid() + "".join(marks))


def legend(series: Mapping[str, object]) -> str:
    """Return the legend of the series' colours; it is empty for a single series."""
    if len(series) <= 1:
        return ""
    entries = "".join(
        f'<span class="c{tone % TONES}"><i></i>{escape(title)}</span>'
        for tone, title in enumerate(series)
    )
    return f'<p class="legend">{entries}</p>\n'


def number(value: float) -> str:
    """Return a number for people: with thousands separators and few decimals."""
    if float(value).is_integer():
        return f"{int(value):,}"
    return f"{value:,.2f}" if abs(value) >= _SMALL else f"{value:.2g}"


def compact(value: float) -> str:
    """Return a number for an axis, such as ``12k`` or ``3.5M``."""
    for size, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{suffix}"
    return f"{value:.3g}"


class _Scale:
    """The vertical axis: round steps, always including 0."""

    def __init__(self, values: Sequence[float]) -> None:
        low, high = min([0.0, *values]), max([0.0, *values])
        if high == low:
            high = low + 1
        step = _round_step((high - low) / 4)
        first, last = floor(low / step), -floor(-high / step)
        self.ticks = [step * tick for tick in range(first, last + 1)]
        self.unit = (_HEIGHT - _TOP - _BOTTOM) / (self.ticks[-1] - self.ticks[0])

    def y(self, value: float) -> float:
        return _TOP + (self.ticks[-1] - value) * self.unit

    def grid(self) -> str:
        return "".join(
            f'<line class="{"grid" if tick else "axis"}" x1="{_LEFT}" x2="{WIDE - _RIGHT}"'
            f' y1="{self.y(tick):.1f}" y2="{self.y(tick):.1f}"/>'
            f'<text x="{_LEFT - 8}" y="{self.y(tick) + 4:.1f}" text-anchor="end">'
            f"{compact(tick)}</text>"
            for tick in self.ticks
        )


def _round_step(step: float) -> float:
    size: float = 10 ** floor(log10(step))
    return next(size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor >= step)


def _below(places: Sequence[float], names: Sequence[str]) -> str:
    """Return the names below an axis, as many as fit without overlap."""
    marks, free = [], 0.0
    for place, name in zip(places, names, strict=True):
        half = _breadth(_short(name)) / 2
        x = min(max(place, half), WIDE - half)
        if x - half >= free:
            marks.append(
                f'<text x="{x:.1f}" y="{_HEIGHT - 8}" text-anchor="middle">'
                f"{escape(_short(name))}</text>"
            )
            free = x + half + _APART
    return "".join(marks)


def _short(name: str) -> str:
    return name if len(name) <= _MAX_LABEL else name[: _MAX_LABEL - 1] + "…"


def _breadth(name: str) -> float:
    """Return the estimated maximum width in pixels of a text of 13 px."""
    return sum(9.0 if character.isupper() else 7.6 for character in name)


def _svg(label: str, width: float, height: float, marks: str) -> str:
    wide = ' class="wide"' if width == WIDE else ""
    return (
        f'<svg{wide} viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(label)}">'
        f"{marks}</svg>\n"
    )
