"""Curves over one time axis, one below the other, as an SVG that asks for nothing from elsewhere."""

from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 860, 120
_LEFT, _TOP, _GAP = 90, 40, 34
_STYLE = (
    "text { font: 12px ui-sans-serif, sans-serif; fill: #444 } .title { font-size: 15px; font-weight: bold } "
    "polyline { fill: none; stroke: #1769aa; stroke-width: 1.5 } rect { fill: #f6f6f6 }"
)


def curves(title: str, along: str, times: Sequence[float], series: Mapping[str, Sequence[float]]) -> str:
    """Return one plot for each series; each has an axis from 0 to its greatest value."""
    height = _TOP + len(series) * (HEIGHT + _GAP) + 10
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_LEFT + WIDTH + 20} {height}">',
        f'<style>{_STYLE}</style><text class="title" x="{_LEFT}" y="20">{escape(title)}</text>',
    ]
    longest = times[-1] or 1.0
    for number, (name, values) in enumerate(series.items()):
        top = _TOP + number * (HEIGHT + _GAP)
        most = max(values) or 1.0
        points = " ".join(
            f"{_LEFT + WIDTH * t / longest:.1f},{top + HEIGHT * (1 - value / most):.1f}"
            for t, value in zip(times, values, strict=True)
        )
        parts += [
            f'<rect x="{_LEFT}" y="{top}" width="{WIDTH}" height="{HEIGHT}"/><polyline points="{points}"/>',
            f'<text x="{_LEFT + 6}" y="{top + 16}">{escape(name)}</text>',
            f'<text x="{_LEFT - 6}" y="{top + 10}" text-anchor="end">{most:,.0f}</text>',
            f'<text x="{_LEFT - 6}" y="{top + HEIGHT}" text-anchor="end">0</text>',
        ]
    parts += [f'<text x="{_LEFT + WIDTH}" y="{height - 18}" text-anchor="end">{longest:,.0f} {escape(along)}</text>']
    return "\n".join([*parts, "</svg>\n"])
