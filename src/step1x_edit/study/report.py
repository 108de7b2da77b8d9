"""A study's report: one HTML file that needs nothing else, readable by people and, at its end, by programs."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from step1x_edit.errors import UsageError
from step1x_edit.study.analysis import Findings
from step1x_edit.study.ballots import ATTENTIVE_RATING, Record
from step1x_edit.study.export import write_whole
from step1x_edit.study.statistics import CONFIDENCE, FEWEST, Estimate

NOTHING = "–"
CHART_WIDTH, ROW_HEIGHT, MARGIN = 640, 34, 150


def write_report(record: Record, findings: Findings, target: Path) -> None:
    """Write the report; it is replaced as a whole, or not at all.

    Raises:
        UsageError: it is a folder.
        UsageError, Step1XError: as for `write_whole`.
    """
    if target.is_dir():
        raise UsageError(f"{target} is a folder; give the report a file with --out.")
    write_whole(target, lambda unfinished: unfinished.write_text(render_report(record, findings), encoding="utf-8"))


def render_report(record: Record, findings: Findings) -> str:
    """The report as HTML."""
    environment = Environment(
        loader=PackageLoader("step1x_edit.study"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"number": format_number, "interval": format_interval, "share": format_share}
    return environment.get_template("report.html").render(
        record=record,
        findings=findings,
        result=findings.attentive,
        names=[record.systems[number] for number in findings.attentive.systems],
        chart=draw_chart,
        confidence=round(100 * CONFIDENCE),
        attentive_rating=ATTENTIVE_RATING,
        fewest=FEWEST,
        figures=Markup(json.dumps(summarise(record, findings), ensure_ascii=False, indent=1).replace("<", "\\u003c")),
    )


def summarise(record: Record, findings: Findings) -> dict[str, Any]:
    """The same figures for programs: systems by name, estimates as value, low and high, null where there is none."""
    summary = asdict(findings)
    for group in ("everyone", "attentive"):
        summary[group]["systems"] = [record.systems[number] for number in summary[group]["systems"]]
    about = {"title": record.title, "people": record.people, "finished": record.finished, "cases": record.cases, "tasks": record.tasks}
    return _without_nan({**about, "systems": list(record.systems.values()), "design": asdict(record.design), **summary})


def draw_chart(
    labels: Sequence[str], estimates: Sequence[Estimate], low: float | None = None, high: float | None = None, digits: int = 2
) -> Markup:
    """Dots with intervals, one row each, as SVG.

    Args:
        labels: what each row is.
        estimates: what it shows.
        low: where the axis begins; None leaves room for everything.
        high: where it ends.
        digits: of the figures beside the rows.
    """
    known = [value for e in estimates for value in (e.value, e.low, e.high) if math.isfinite(value)] or [0.0, 1.0]
    ticks = choose_ticks(min(known) if low is None else low, max(known) if high is None else high)
    begin, end = ticks[0], ticks[-1]
    right = CHART_WIDTH - MARGIN

    def at(value: float) -> float:
        return round(MARGIN + (value - begin) / (end - begin) * (right - MARGIN), 1)

    bottom = ROW_HEIGHT * len(labels) + 8
    parts = [
        Markup('<line class="grid" x1="{0}" x2="{0}" y1="4" y2="{1}"/><text class="tick" x="{0}" y="{2}">{3:g}</text>').format(
            at(tick), bottom, bottom + 16, tick
        )
        for tick in ticks
    ]
    for row, (label, e) in enumerate(zip(labels, estimates, strict=True)):
        y = ROW_HEIGHT * row + ROW_HEIGHT // 2 + 4
        parts.append(Markup('<text class="label" x="{}" y="{}">{}</text>').format(MARGIN - 12, y + 4, _shorten(label)))
        if math.isfinite(e.low) and math.isfinite(e.high):
            parts.append(Markup('<line class="range" x1="{}" x2="{}" y1="{y}" y2="{y}"/>').format(at(e.low), at(e.high), y=y))
        if math.isfinite(e.value):
            parts.append(Markup('<circle class="dot" cx="{}" cy="{}" r="5"/>').format(at(e.value), y))
        parts.append(Markup('<text class="value" x="{}" y="{}">{}</text>').format(right + 12, y + 4, format_interval(e, digits)))
    height = bottom + 24
    svg = '<svg class="chart" viewBox="0 0 {w} {h}" role="img" aria-label="{}">{}</svg>'
    told = "; ".join(f"{label} {format_interval(e, digits)}" for label, e in zip(labels, estimates, strict=True))
    return Markup(svg).format(told, Markup("").join(parts), w=CHART_WIDTH, h=height)


def choose_ticks(low: float, high: float) -> list[float]:
    """Round numbers from at or below `low` to at or above `high`, four to nine of them."""
    span = max(high - low, 1e-3)
    power = 10.0 ** math.floor(math.log10(span / 4))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if span / (power * factor) <= 6)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(step * index, 10) for index in range(first, max(last, first + 1) + 1)]


def format_number(value: float, digits: int = 2) -> str:
    """A number with a true minus sign; a dash where there is none."""
    return f"{value:.{digits}f}".replace("-", "−") if math.isfinite(value) else NOTHING


def format_interval(estimate: Estimate, digits: int = 2) -> str:
    """A figure and its interval."""
    if not math.isfinite(estimate.low):
        return format_number(estimate.value, digits)
    low, high = (format_number(value, digits) for value in (estimate.low, estimate.high))
    return f"{format_number(estimate.value, digits)} [{low}, {high}]"


def format_share(value: float) -> str:
    """A share in percent."""
    return f"{100 * value:.0f} %" if math.isfinite(value) else NOTHING


def _shorten(label: str, most: int = 20) -> str:
    return label if len(label) <= most else f"{label[: most - 1]}…"


def _without_nan(value: Any) -> Any:
    match value:
        case dict():
            return {str(key): _without_nan(each) for key, each in value.items()}
        case list() | tuple():
            return [_without_nan(each) for each in value]
        case float() if not math.isfinite(value):
            return None
    return value
