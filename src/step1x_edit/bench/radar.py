"""A chart of several systems' figures by task, as SVG text that stands in an HTML page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

COLOURS = ("#2563eb", "#dc2626", "#059669", "#9333ea", "#d97706", "#0891b2", "#be185d", "#4d7c0f")
RADIUS = 150
LARGEST = 10.0
WIDTH, HEIGHT = 560, 440


def draw_radar(axes: Sequence[str], systems: Mapping[str, Mapping[str, float | None]]) -> str:
    """One axis a task; a task without a figure leaves a gap in the line instead of a zero."""
    centre_x, centre_y = WIDTH / 2, HEIGHT / 2

    def point(axis: int, value: float) -> tuple[float, float]:
        angle = 2 * math.pi * axis / len(axes) - math.pi / 2
        length = RADIUS * value / LARGEST
        return centre_x + length * math.cos(angle), centre_y + length * math.sin(angle)

    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="figures by task" xmlns="http://www.w3.org/2000/svg">']
    for step in range(1, 6):
        ring = " ".join(f"{x:.1f},{y:.1f}" for x, y in (point(axis, LARGEST * step / 5) for axis in range(len(axes))))
        parts.append(f'<polygon points="{ring}" fill="none" stroke="#8886" />')
    for axis, name in enumerate(axes):
        (x, y), (label_x, label_y) = point(axis, LARGEST), point(axis, LARGEST * 1.12)
        anchor = "middle" if abs(label_x - centre_x) < 20 else "start" if label_x > centre_x else "end"
        parts.append(f'<line x1="{centre_x}" y1="{centre_y}" x2="{x:.1f}" y2="{y:.1f}" stroke="#8886" />')
        parts.append(f'<text x="{label_x:.1f}" y="{label_y + 4:.1f}" text-anchor="{anchor}">{escape(name)}</text>')
    for number, (system, figures) in enumerate(systems.items()):
        colour = COLOURS[number % len(COLOURS)]
        values = [figures.get(name) for name in axes]
        for axis, value in enumerate(values):
            following = values[(axis + 1) % len(axes)]
            if value is None:
                continue
            x, y = point(axis, value)
            title = f"<title>{escape(f'{system}, {axes[axis]}: {value:.3f}')}</title>"
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}">{title}</circle>')
            if following is not None:
                next_x, next_y = point((axis + 1) % len(axes), following)
                parts.append(f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{next_x:.1f}" y2="{next_y:.1f}" stroke="{colour}" stroke-width="2" />')
    return "\n".join([*parts, "</svg>"])
