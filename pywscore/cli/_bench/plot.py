"""The latencies by percentile, as HDR histograms are shown: the tail has as much room
as the rest."""

from __future__ import annotations

import math
from html import escape
from pathlib import Path

from pywscore import _core
from pywscore.cli._common import CommandError, explain

WIDTH, HEIGHT = 720, 400
LEFT, RIGHT, TOP, BOTTOM = 80, 20, 40, 50
MAX_NINES = 6
STEPS = 40  # of the curve, for each nine


def save(path: str, title: str, latencies: _core.Histogram) -> None:
    """As SVG, or as PNG by cairosvg if that is installed."""
    picture = svg(title, latencies).encode()
    if path.lower().endswith(".png"):
        picture = _png(picture)
    try:
        Path(path).write_bytes(picture)
    except OSError as error:
        raise CommandError(f"cannot write {path}: {explain(error)}") from None


def _png(picture: bytes) -> bytes:
    try:
        import cairosvg
    except ImportError:
        raise CommandError("PNG needs cairosvg: pip install cairosvg") from None
    png: bytes = cairosvg.svg2png(bytestring=picture)
    return png


def svg(title: str, latencies: _core.Histogram) -> str:
    """Across, how many nines a percentile has; up, microseconds, in powers of ten."""
    nines = min(MAX_NINES, max(1, math.ceil(math.log10(max(latencies.count, 10)))))
    low = math.floor(math.log10(max(latencies.min / 1e3, 0.1)))
    high = max(math.ceil(math.log10(max(latencies.max / 1e3, 1))), low + 1)

    def x(many: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * many / nines

    def y(microseconds: float) -> float:
        share = (math.log10(max(microseconds, 10.0**low)) - low) / (high - low)
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share

    points = []
    for step in range(nines * STEPS + 1):
        many = step / STEPS
        value = latencies.percentile(100 * (1 - 10**-many)) / 1e3
        points.append(f"{x(many):.1f},{y(value):.1f}")
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" '
        'font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="{LEFT}" y="24" font-weight="bold">{escape(title)}</text>',
    ]
    for many in range(nines + 1):
        label = f"{100 * (1 - 10.0**-many):.{max(many - 2, 0)}f} %"
        lines += [
            f'<line x1="{x(many):.1f}" x2="{x(many):.1f}" y1="{TOP}" '
            f'y2="{HEIGHT - BOTTOM}" stroke="#e0e4e8"/>',
            f'<text x="{x(many):.1f}" y="{HEIGHT - BOTTOM + 18}" '
            f'text-anchor="middle">{label}</text>',
        ]
    for power in range(low, high + 1):
        at = y(10.0**power)
        lines += [
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}" '
            'stroke="#e0e4e8"/>',
            f'<text x="{LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">'
            f"{10.0**power:,g} µs</text>",
        ]
    lines += [
        f'<polyline points="{" ".join(points)}" fill="none" stroke="#2a6fbb" '
        'stroke-width="2"/>',
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 10}" '
        'text-anchor="middle">percentile of the messages</text>',
    ]
    return "\n".join([*lines, "</svg>", ""])
