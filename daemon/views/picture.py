"""A board as an SVG that asks for nothing from elsewhere: rich's own template would load its fonts from a host."""

import io

from rich.console import Console, RenderableType
from rich.terminal_theme import MONOKAI

WIDTH = 132
_FORMAT = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, Menlo, Consolas, monospace; font-size: {char_height}px; line-height: {line_height}px; font-variant-east-asian: full-width; }}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: ui-sans-serif, sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal"><rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/></clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""  # noqa: E501 - one rule of the style sheet to a line


def picture(board: RenderableType, title: str) -> str:
    """Return what a terminal of `WIDTH` columns would show."""
    console = Console(width=WIDTH, record=True, force_terminal=True, color_system="truecolor", file=io.StringIO())
    console.print(board)
    return console.export_svg(title=title, theme=MONOKAI, code_format=_FORMAT, unique_id="starlingd")
