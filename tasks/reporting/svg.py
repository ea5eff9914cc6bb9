"""Figures as SVG: scales, ticks and marks. Colours follow the reader's light or dark scheme."""

import base64
import math
from collections.abc import Callable, Iterable, Sequence
from html import escape
from typing import NamedTuple, TypeAlias

Number: TypeAlias = int | float
"""Both, also for what checks types at run time."""
WIDTH = 400
"""Width of every figure, in units of its view box; text is 11 units high."""
ALONE = 560
"""Width in pixels of a figure that is a picture of its own."""

STYLE = """
:root { color-scheme: light dark; --page: #fff; --text: #1b1f24; --soft: #57606a; --line: #d0d7de; --stripe: #f6f8fa;
        --main: #0b5cad; --other: #9a4d00; --bad: #b42318; --good: #0a6b2d; }
@media (prefers-color-scheme: dark) {
  :root { --page: #0f1419; --text: #e6edf3; --soft: #9aa7b4; --line: #39424d; --stripe: #171d24;
          --main: #6cb6ff; --other: #e6a35c; --bad: #ff8a75; --good: #57c785; }
}
@media print {
  :root { color-scheme: light; --page: #fff; --text: #000; --soft: #444; --line: #bbb; --stripe: #fff;
          --main: #0b5cad; --other: #9a4d00; --bad: #b42318; --good: #0a6b2d; }
}
svg text { font: 11px system-ui, sans-serif; fill: var(--text); font-variant-numeric: tabular-nums; }
svg .soft { fill: var(--soft); } svg .on { fill: var(--page); }
svg .grid { stroke: var(--line); stroke-width: 1; } svg .axis { stroke: var(--soft); stroke-width: 1; fill: none; }
svg .main { --mark: var(--main); } svg .other { --mark: var(--other); }
svg .bad { --mark: var(--bad); } svg .good { --mark: var(--good); }
svg .fill { fill: var(--mark); }
svg .stroke { stroke: var(--mark); stroke-width: 2; fill: none; }
svg .dashed { stroke-dasharray: 5 4; stroke-width: 1.5; }
svg .hollow { fill: var(--page); stroke: var(--mark); stroke-width: 1.5; }
"""
"""The colours and marks that figures and pages share."""


class Figure(NamedTuple):
    """A figure: what it shows in words, its caption, its height in units of WIDTH, and its marks as SVG."""

    alt: str
    caption: str
    height: Number
    marks: str

    @property
    def markup(self) -> str:
        """An SVG element for a page that has STYLE."""
        return self._element("")

    @property
    def source(self) -> str:
        """A picture of its own, as a data URL."""
        size = f' xmlns="http://www.w3.org/2000/svg" width="{ALONE}" height="{number(ALONE * self.height / WIDTH)}"'
        whole = self._element(f"<style>{STYLE}svg {{ background: var(--page); }}</style>", size)
        return f"data:image/svg+xml;base64,{base64.b64encode(whole.encode()).decode()}"

    def _element(self, style: str, attributes: str = "") -> str:
        box, label = f"0 0 {WIDTH} {number(self.height)}", escape(self.alt)
        return f'<svg{attributes} viewBox="{box}" role="img" aria-label="{label}">{style}{self.marks}</svg>'


class Scale(NamedTuple):
    """Maps values from `low` to `high` to places from `start` to `end`; logarithmic if `is_log`."""

    low: Number
    high: Number
    start: Number
    end: Number
    is_log: bool = False

    def __call__(self, value: Number) -> float:
        low, high, x = (math.log(v) if self.is_log else v for v in (self.low, self.high, value))
        return self.start + (self.end - self.start) * ((x - low) / (high - low) if high > low else 0.5)


def scale(
    values: Sequence[Number], start: Number, end: Number, *, is_log: bool = False, margin: Number = 0.06
) -> Scale:
    """A scale on which the values have a margin, a share of their range, at both ends."""
    low, high = min(values), max(values)
    if is_log:
        ratio = max(high / low, 2) ** margin
        return Scale(low / ratio, high * ratio, start, end, is_log=True)
    space = margin * (high - low) or max(abs(low) * 0.05, 1e-3)
    return Scale(low - space, high + space, start, end)


def ticks(scale: Scale, most: int = 6) -> list[Number]:
    """Round values on a scale, in order, about as many as `most`."""
    if scale.is_log:
        powers = range(math.floor(math.log10(scale.low)), math.ceil(math.log10(scale.high)) + 1)
        for digits in ((1,), (1, 3), (1, 2, 5), tuple(range(1, 10))):
            values = [d * 10.0**p for p in powers for d in digits if scale.low <= d * 10.0**p <= scale.high]
            if len(values) >= 3:
                return values
    span = scale.high - scale.low
    step = 10.0 ** math.floor(math.log10(span / most))
    step = next(step * factor for factor in (1, 2, 5, 10) if span / (step * factor) <= most)
    first = math.ceil(scale.low / step)
    return [round(i * step, 12) for i in range(first, math.floor(scale.high / step) + 1)]


def number(value: Number) -> str:
    """A place in a figure, to a tenth of a unit."""
    return f"{value:.1f}".removesuffix(".0")


def short(value: Number) -> str:
    """A number as people write it, to six digits."""
    return f"{value:.6g}".replace("-", "\u2212")


def text(x: Number, y: Number, words: str, *, anchor: str = "start", kind: str = "", more: str = "") -> str:
    of_kind = f' class="{kind}"' if kind else ""
    place = f'x="{number(x)}" y="{number(y)}"'
    return f'<text {place} text-anchor="{anchor}"{of_kind}{more}>{escape(words)}</text>'


def line(points: Iterable[tuple[Number, Number]], kind: str) -> str:
    path = " ".join(f"{number(x)},{number(y)}" for x, y in points)
    return f'<polyline points="{path}" class="{kind}"/>'


def rect(
    x: Number, y: Number, width: Number, height: Number, kind: str, *, opacity: Number = 1, title: str = ""
) -> str:
    """A rectangle; its title is shown to a mouse."""
    shown = f' fill-opacity="{opacity:.3g}"' if opacity < 1 else ""
    box = f'x="{number(x)}" y="{number(y)}" width="{number(width)}" height="{number(height)}"'
    inner = f"<title>{escape(title)}</title>" if title else ""
    return f'<rect {box} class="{kind}"{shown}>{inner}</rect>'


def circle(x: Number, y: Number, radius: Number, kind: str, *, title: str = "", opacity: Number = 1) -> str:
    shown = f' fill-opacity="{opacity:.3g}"' if opacity < 1 else ""
    inner = f"<title>{escape(title)}</title>" if title else ""
    return f'<circle cx="{number(x)}" cy="{number(y)}" r="{number(radius)}" class="{kind}"{shown}>{inner}</circle>'


def image(source: str, x: Number, y: Number, width: Number, height: Number) -> str:
    """A picture from a data URL, each of its pixels a sharp square."""
    box = f'x="{number(x)}" y="{number(y)}" width="{number(width)}" height="{number(height)}"'
    return f'<image href="{source}" {box} style="image-rendering:pixelated"/>'


def across(scale: Scale, top: Number, bottom: Number, label: str, *, show: Callable[[Number], str]) -> list[str]:
    """A horizontal axis at `bottom`: grid lines from `top`, numbers, and its label below."""
    places = [(scale(value), show(value)) for value in ticks(scale)]
    marks = [line([(x, top), (x, bottom)], "grid") for x, _ in places]
    marks += [text(x, bottom + 13, words, anchor="middle", kind="soft") for x, words in places]
    return [*marks, text((scale.start + scale.end) / 2, bottom + 28, label, anchor="middle", kind="soft")]


def upwards(scale: Scale, left: Number, right: Number, label: str, *, show: Callable[[Number], str]) -> list[str]:
    """A vertical axis at `left`: grid lines to `right`, numbers, and its label above."""
    places = [(scale(value), show(value)) for value in ticks(scale)]
    marks = [line([(left, y), (right, y)], "grid") for y, _ in places]
    marks += [text(left - 5, y + 4, words, anchor="end", kind="soft") for y, words in places]
    return [*marks, text(0, 12, label, kind="soft")]


def spread(places: Sequence[Number], least: Number) -> list[Number]:
    """The places moved apart to both sides, by as little as two passes can, so that no two are nearer than `least`."""
    order = sorted(range(len(places)), key=lambda i: places[i])
    rightwards, leftwards = dict[int, Number](), dict[int, Number]()
    for moved, numbers, sign in ((rightwards, order, 1), (leftwards, order[::-1], -1)):
        edge = -math.inf
        for i in numbers:
            edge = max(sign * places[i], edge + least)
            moved[i] = sign * edge
    return [(rightwards[i] + leftwards[i]) / 2 for i in range(len(places))]


def swarm(places: Sequence[Number], radius: Number, most: Number) -> list[Number]:
    """How far to move each of several circles sideways, at most by `most`, so that none hides another.

    Circles at the places take the free offset that is nearest to 0, in the order of the places.
    """
    offsets = [0.0] * len(places)
    taken: list[tuple[Number, Number]] = []
    rings = [sign * step * radius for step in range(math.ceil(most / radius) + 1) for sign in (1, -1)]
    for i in sorted(range(len(places)), key=lambda i: places[i]):
        place = places[i]
        near = [(p, o) for p, o in taken if abs(p - place) < 2 * radius]
        free = (o for o in rings if abs(o) <= most and all(math.hypot(p - place, q - o) >= 2 * radius for p, q in near))
        offsets[i] = next(free, 0.0)
        taken.append((place, offsets[i]))
    return offsets
