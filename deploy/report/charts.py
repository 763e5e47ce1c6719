"""Inline SVG charts whose colours are the page's, so that they follow its light and dark mode.

Every chart has a title and a description for readers who can't see it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 760, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 54, 14, 14, 40
_MAX_POINTS = 700


@dataclass(frozen=True)
class Series:
    """One curve.

    Attributes:
        label: for the legend.
        x: finite and ascending.
        y: finite, one for each x.
        colour: a CSS colour of the page, such as ``--a``.
    """

    label: str
    x: Sequence[float]
    y: Sequence[float]
    colour: str


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers from ``low`` to ``high``, about ``count`` of them: steps of 1, 2 or 5 times a power of ten."""
    if not high > low:
        return [low]
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.75)
    first = math.ceil(low / step - 1e-9)
    return [index * step for index in range(first, math.floor(high / step + 1e-9) + 1)]


def number(value: float) -> str:
    """Short and readable: 1500000 is 1.5 M, 0.0312 is 0.0312."""
    if value == 0.0:
        return "0"
    for limit, unit, letter in ((1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k")):
        if abs(value) >= limit:
            return f"{value / unit:.4g} {letter}"
    return f"{value:.4g}" if abs(value) >= 1e-3 else f"{value:.1e}"


def lines(
    series: Sequence[Series], *, title: str, x_label: str, y_label: str, y_range: tuple[float, float] | None = None
) -> str:
    """A line chart with axes and legend.

    Args:
        series: at least one, each with at least two points.
        title: what it shows, for those who hear it.
        x_label: quantity and unit.
        y_label: quantity and unit.
        y_range: of the axis; that of the data, from zero, where None.
    """
    x_low, x_high = min(s.x[0] for s in series), max(s.x[-1] for s in series)
    y_low, y_high = y_range or (min(0.0, *(min(s.y) for s in series)), max(max(s.y) for s in series) * 1.05 or 1.0)
    frame = _Frame(x_low, x_high, y_low, y_high)
    body = [frame.axes(x_label, y_label)]
    for one in series:
        points = " ".join(f"{frame.x(x):.1f},{frame.y(y):.1f}" for x, y in _thin(one.x, one.y))
        body.append(f'<polyline class="curve" style="stroke:var({one.colour})" points="{points}"/>')
    return _figure(title, "".join(body), series)


def areas(lower: Series, upper_label: str, upper_colour: str, *, title: str, x_label: str) -> str:
    """Two shares that sum to one, stacked over an axis from 0 to 1; ``lower`` is the share drawn from the bottom."""
    frame = _Frame(lower.x[0], lower.x[-1], 0.0, 1.0)
    points = [f"{frame.x(x):.1f},{frame.y(y):.1f}" for x, y in _thin(lower.x, lower.y)]
    left, right, top, bottom = frame.x(lower.x[0]), frame.x(lower.x[-1]), frame.y(1.0), frame.y(0.0)
    plate = f'<rect x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}" height="{bottom - top:.1f}"'
    body = [
        f'{plate} style="fill:var({upper_colour})" fill-opacity="0.85"/>',
        f'<polygon points="{left:.1f},{bottom:.1f} {" ".join(points)} {right:.1f},{bottom:.1f}" '
        f'style="fill:var({lower.colour})" fill-opacity="0.9"/>',
        frame.axes(x_label, "share of attention"),
    ]
    upper = Series(upper_label, lower.x, lower.y, upper_colour)
    return _figure(title, "".join(body), [lower, upper])


def interval_bar(mean: float, low: float, high: float) -> str:
    """A tiny picture of a rate in [0, 1] and its interval, for a table's cell."""
    at, start, end = (100.0 * min(max(value, 0.0), 1.0) for value in (mean, low, high))
    return (
        '<svg class="interval" viewBox="-2 0 104 14" preserveAspectRatio="none" aria-hidden="true">'
        '<line class="axis" x1="0" y1="7" x2="100" y2="7"/>'
        f'<rect x="{start:.1f}" y="4" width="{max(end - start, 0.8):.1f}" height="6" rx="1"/>'
        f'<line class="mean" x1="{at:.1f}" y1="1" x2="{at:.1f}" y2="13"/></svg>'
    )


def log_bars(rows: Sequence[tuple[str, float, float]], *, title: str, unit: str) -> str:
    """Horizontal bars on a logarithmic axis, with a whisker to a second, larger value.

    Args:
        rows: name, value and whisker's end; both above zero.
        title: what it shows.
        unit: of the values.
    """
    low = 10.0 ** math.floor(math.log10(min(value for _, value, _ in rows)) - 0.1)
    high = 10.0 ** math.ceil(math.log10(max(end for _, _, end in rows)) - 1e-9)
    left, row_height = 216, 30
    height = row_height * len(rows) + 42

    def at(value: float) -> float:
        return left + (WIDTH - left - 84) * math.log10(value / low) / math.log10(high / low)

    foot = row_height * len(rows) + 8
    body = []
    for power in range(round(math.log10(low)), round(math.log10(high)) + 1):
        x = at(10.0**power)
        body.append(f'<line class="grid" x1="{x:.1f}" y1="4" x2="{x:.1f}" y2="{foot}"/>')
        body.append(f'<text x="{x:.1f}" y="{foot + 18}" text-anchor="middle">{number(10.0**power)}</text>')
    body.append(f'<text x="{WIDTH - 40}" y="{foot + 18}" text-anchor="end">{escape(unit)}</text>')
    for index, (name, value, end) in enumerate(rows):
        y = index * row_height + 8
        words = f'{escape(name)} <tspan class="value">{number(value)}</tspan>'
        body.append(f'<text x="{left - 10}" y="{y + 15}" text-anchor="end" class="name">{words}</text>')
        body.append(
            f'<rect x="{left}" y="{y + 3}" width="{at(value) - left:.1f}" height="16" rx="2" class="bar"/>'
            f'<line class="whisker" x1="{at(value):.1f}" y1="{y + 11}" x2="{at(end):.1f}" y2="{y + 11}"/>'
            f'<line class="whisker" x1="{at(end):.1f}" y1="{y + 6}" x2="{at(end):.1f}" y2="{y + 16}"/>'
        )
    return _svg(title, "".join(body), height)


class _Frame:
    """Maps data to the drawing, and draws the axes."""

    def __init__(self, x_low: float, x_high: float, y_low: float, y_high: float) -> None:
        self.x_low, self.x_high = x_low, x_high if x_high > x_low else x_low + 1.0
        self.y_low, self.y_high = y_low, y_high if y_high > y_low else y_low + 1.0

    def x(self, value: float) -> float:
        return _LEFT + (WIDTH - _LEFT - _RIGHT) * (value - self.x_low) / (self.x_high - self.x_low)

    def y(self, value: float) -> float:
        inside = min(max(value, self.y_low), self.y_high)
        return _TOP + (HEIGHT - _TOP - _BOTTOM) * (self.y_high - inside) / (self.y_high - self.y_low)

    def axes(self, x_label: str, y_label: str) -> str:
        out = []
        for tick in ticks(self.y_low, self.y_high, 4):
            y = self.y(tick)
            out.append(f'<line class="grid" x1="{_LEFT}" y1="{y:.1f}" x2="{WIDTH - _RIGHT}" y2="{y:.1f}"/>')
            out.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{number(tick)}</text>')
        foot = HEIGHT - _BOTTOM
        for tick in ticks(self.x_low, self.x_high, 7):
            x = self.x(tick)
            out.append(f'<line class="tick" x1="{x:.1f}" y1="{foot}" x2="{x:.1f}" y2="{foot + 5}"/>')
            # Centred, a label at the right edge would be cut off.
            anchor = "end" if x > WIDTH - 3 * _RIGHT else "middle"
            at = min(x + _RIGHT, WIDTH - 2.0) if anchor == "end" else x
            out.append(f'<text x="{at:.1f}" y="{foot + 19}" text-anchor="{anchor}">{number(tick)}</text>')
        middle = (_LEFT + WIDTH - _RIGHT) / 2
        out.append(f'<text x="{middle:.0f}" y="{HEIGHT - 4}" text-anchor="middle">{escape(x_label)}</text>')
        centre = (_TOP + foot) / 2
        turn = f'transform="rotate(-90 12 {centre:.0f})"'
        out.append(f'<text x="12" y="{centre:.0f}" text-anchor="middle" {turn}>{escape(y_label)}</text>')
        return "".join(out)


def _thin(x: Sequence[float], y: Sequence[float]) -> list[tuple[float, float]]:
    """Means over neighbours where there are more points than pixels."""
    size = -(-len(x) // _MAX_POINTS)
    starts = range(0, len(x), size)
    return [(sum(x[i : i + size]) / len(x[i : i + size]), sum(y[i : i + size]) / len(y[i : i + size])) for i in starts]


def _figure(title: str, body: str, series: Sequence[Series]) -> str:
    keys = "".join(f'<span><i style="background:var({one.colour})"></i>{escape(one.label)}</span>' for one in series)
    return f'{_svg(title, body, HEIGHT)}<p class="legend">{keys}</p>'


def _svg(title: str, body: str, height: int) -> str:
    return (
        f'<div class="chart"><svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title, quote=True)}">'
        f"<title>{escape(title)}</title>{body}</svg></div>"
    )
