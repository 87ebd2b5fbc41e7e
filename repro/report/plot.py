"""Intervals of a claim's comparisons as one drawing (SVG), which reads on a phone."""

import math
from collections.abc import Sequence

from repro.analysis.claim_table import interval_words
from repro.analysis.estimates import Estimate
from repro.report.html import text

WIDTH, ROW, MARGIN, FOOT = 360, 44, 26, 24  # in pixels; a row: its words above its interval


def intervals(rows: Sequence[tuple[str, Estimate]], effect: float, unit: str) -> str:
    """A row for each estimate with its 95 % interval, 0 and D marked; empty where none has one."""
    known = [(name, e) for name, e in rows if not math.isnan(e.standard_error)]
    if not known:
        return ""
    low = min(0.0, *(e.low for _, e in known))
    high = max(effect, *(e.high for _, e in known))
    scale = (WIDTH - 2 * MARGIN) / ((high - low) or 1.0)

    def x(value: float) -> float:
        return MARGIN + scale * (value - low)

    height = ROW * len(known) + FOOT
    lines = [_marks(x(0), x(effect), height)]
    for number, (name, e) in enumerate(known):
        lines.append(_row(name, e, (x(e.low), x(e.estimate), x(e.high)), ROW * number))
    words = "; ".join(f"{name} {interval_words(e)}" for name, e in known)
    label = f"Estimates with 95 % intervals, {unit}; D = {effect:g}: {words}"
    size = f'viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{text(label)}"'
    return f'<svg class="intervals" {size}>{"".join(lines)}</svg>'


def _marks(zero: float, effect: float, height: int) -> str:
    """No effect, and the smallest effect of interest."""
    end, foot = height - FOOT + 4, height - 6
    return (
        f'<line class="zero" x1="{zero:.1f}" x2="{zero:.1f}" y1="0" y2="{end}"/>'
        f'<line class="effect" x1="{effect:.1f}" x2="{effect:.1f}" y1="0" y2="{end}"/>'
        f'<text x="{zero - 3:.1f}" y="{foot}" text-anchor="end">0</text>'
        f'<text x="{effect + 3:.1f}" y="{foot}">D</text>'
    )


def _row(name: str, e: Estimate, places: tuple[float, float, float], top: int) -> str:
    low, middle, high = places
    y = top + 31
    return (
        f'<text x="0" y="{top + 15}">{text(name)}</text>'
        f'<text x="{WIDTH}" y="{top + 15}" text-anchor="end">{text(interval_words(e))}</text>'
        f'<line class="interval" x1="{low:.1f}" x2="{high:.1f}" y1="{y}" y2="{y}"/>'
        f'<circle cx="{middle:.1f}" cy="{y}" r="4.5"/>'
    )
