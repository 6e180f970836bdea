"""Tables and bar charts of figures."""

from __future__ import annotations

from collections.abc import Sequence


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """In Markdown; all but the first column are numbers."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        first, *rest = cells
        padded = [first.ljust(widths[0])]
        padded += [
            cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True)
        ]
        return "| " + " | ".join(padded) + " |"

    rule = [
        ":" + "-" * (widths[0] - 1),
        *("-" * (width - 1) + ":" for width in widths[1:]),
    ]
    return "\n".join([line(head), line(rule), *map(line, rows)])


def bars(title: str, values: Sequence[tuple[str, float]], unit: str) -> str:
    """A bar chart as SVG; our own bars stand out."""
    height, label, width = 22, 330, 420
    most = max(value for _, value in values)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{label + width + 90}" '
        f'height="{height * (len(values) + 2)}" font-family="sans-serif" '
        'font-size="13">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="10" y="{height}" font-weight="bold">{title}</text>',
    ]
    for number, (name, value) in enumerate(values):
        top = height * (number + 1.5)
        length = width * value / most
        colour = "#2a6fbb" if name.startswith("pywscore") else "#b8c4d0"
        lines += [
            f'<text x="{label - 8}" y="{top + 15}" text-anchor="end">{name}</text>',
            f'<rect x="{label}" y="{top + 3}" width="{length:.1f}" '
            f'height="{height - 6}" fill="{colour}"/>',
            f'<text x="{label + length + 6:.1f}" y="{top + 15}">{value:.1f} {unit}'
            "</text>",
        ]
    return "\n".join([*lines, "</svg>", ""])
