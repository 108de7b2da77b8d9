"""One HTML file that holds everything: figures, charts, pictures before and after, the worst cases, what is missing, and the commands.

Nothing is loaded from elsewhere, and every text that comes from cases, systems and judges is escaped.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Container, Mapping, Sequence
from html import escape
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from step1x_edit.bench.gedit import TASKS, find_picture, place_result, place_source
from step1x_edit.bench.published import published
from step1x_edit.bench.radar import COLOURS, draw_radar
from step1x_edit.bench.scores import CaseScore
from step1x_edit.bench.summary import Scores, compare_systems, summarise
from step1x_edit.errors import ImageError, UsageError
from step1x_edit.image_io import read_image
from step1x_edit.image_modes import flatten

SIDE = 384
"""Longest side of the pictures in the page, in pixels."""

WORST = 6

_STYLE = """
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, "Noto Sans CJK SC", sans-serif; max-width: 76rem; margin: 2rem auto; padding: 0 1.5rem }
nav { position: sticky; top: 0; z-index: 2; display: flex; flex-wrap: wrap; gap: .2rem 1.4rem; padding: .7rem 0; background: Canvas }
nav { border-bottom: 1px solid #8884 }
nav a { color: inherit; text-decoration: none }
nav a:hover { text-decoration: underline }
h2 { margin: 2.4rem 0 .4rem; scroll-margin-top: 3.5rem }
.two { display: flex; flex-wrap: wrap; gap: 1rem 3rem; align-items: center }
.two svg { flex: 1 1 26rem }
td.best { font-weight: 700 }
details { margin: .6rem 0 }
summary { cursor: pointer; font-weight: 600 }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums }
th, td { padding: .25rem .7rem; border-bottom: 1px solid #8884; text-align: right }
th:first-child, td:first-child { text-align: left }
td.words { text-align: left }
caption { text-align: left; font-weight: 600 }
svg { max-width: 36rem; font-size: 12px }
svg text { fill: currentColor }
.pairs { display: grid; grid-template-columns: repeat(auto-fill, minmax(18rem, 1fr)); gap: 1.2rem }
figure { margin: 0 }
figcaption { font-size: .9rem }
.slide { position: relative; line-height: 0 }
.slide img { width: 100% }
.slide .after { position: absolute; inset: 0; clip-path: inset(0 0 0 var(--cut, 50%)) }
.slide input { position: absolute; inset: auto 0 0; width: 100%; margin: 0 }
pre { overflow: auto; padding: 1rem; background: #8881 }
.key { display: inline-block; width: .8em; height: .8em }
"""
_SCRIPT = """
for (const knob of document.querySelectorAll(".slide input"))
  knob.addEventListener("input", () => knob.parentNode.style.setProperty("--cut", knob.value + "%"));
"""


def write_report(scores: Scores, folders: Mapping[str, Path], commands: Sequence[str], title: str = "GEdit-Bench") -> str:
    """The page as text.

    Args:
        scores: judgements by system.
        folders: result folders by system; a system without one is shown in figures alone.
        commands: what was run, to be run again.
        title: heading of the page.
    """
    summary = summarise(scores, common=len(scores) > 1)
    parts = [f"<h1>{escape(title)}</h1>", _legend(scores)]
    for view in ("en/full", "en/intersection", "cn/full", "cn/intersection"):
        parts += _view(view, summary)
    if len(scores) > 1:
        parts.append(_pairs(scores))
    parts.append(_heading("Examples"))
    parts.append(_gallery(_examples(scores), folders))
    for system, cases in scores.items():
        known = sorted((case for case in cases if case.known), key=lambda case: case.o or 0.0)
        parts.append(_heading(f"Worst cases of {system}"))
        parts.append(_gallery([(system, case) for case in known[:WORST]], folders))
    parts += [_heading("Missing cases"), _missing(scores)]
    parts += [_heading("Commands"), f"<pre>{escape(chr(10).join(commands))}</pre>"]
    parts.insert(2, _navigate(parts))
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title><style>{_STYLE}</style>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>{"".join(parts)}<script>{_SCRIPT}</script></body></html>\n'


def _legend(scores: Scores) -> str:
    marks = (f'<span class="key" style="background:{COLOURS[i % len(COLOURS)]}"></span> {escape(name)}' for i, name in enumerate(scores))
    return f"<p>{' &nbsp; '.join(marks)}</p>"


def _view(view: str, summary: Mapping[str, Any]) -> list[str]:
    systems = {name: system["views"][view] for name, system in summary["systems"].items() if view in system["views"]}
    if not systems:
        return []
    language, subset = view.split("/")
    rows = [
        [name, *(_figure(found[m]) for m in ("sc", "pq", "o")), _range(found["interval"]["o"]), str(found["cases"]), str(found["missing"])]
        for name, found in systems.items()
    ]
    beside = [[row.system, *map(_figure, (row.sc, row.pq, row.o)), row.judge] for row in published(language, subset)]
    head = ["system", "SC", "PQ", "O", "judge"]
    tasks = [[found["tasks"].get(task, {}).get("o") for found in systems.values()] for task in summary["tasks"]]
    by_task = [[task, *map(_figure, values)] for task, values in zip(summary["tasks"], tasks, strict=True)]
    figures = {name: {task: means["o"] for task, means in found["tasks"].items()} for name, found in systems.items()}
    return [
        _heading(f"{'English' if language == 'en' else 'Chinese'}, {subset}"),
        _table("Mean over tasks", ["system", "SC", "PQ", "O", "95 %", "cases", "missing"], rows),
        f'<div class="two">{_table("O by task", ["task", *systems], by_task, figures=tasks)}{draw_radar(TASKS, figures)}</div>',
        f"<details><summary>Published, for GEdit-Bench itself</summary>{_table('', head, beside, words=(0, 4))}</details>"
        if beside
        else "",
    ]


def _pairs(scores: Scores) -> str:
    try:
        found = compare_systems(scores)
    except UsageError as error:
        return f"{_heading('Pairs')}<p>{escape(str(error))}</p>"
    rows = [
        [f"{row['first']} less {row['second']}", _figure(row["difference"]), _range([row["low"], row["high"]]), _figure(row["p"])]
        + [str(row[key]) for key in ("wins", "ties", "losses")]
        for row in found
    ]
    head = ["pair", "difference in O", "95 %", "p", "wins", "ties", "losses"]
    return _heading("Pairs") + _table("On the questions that both answered; p by sign flips, Holm-corrected", head, rows)


def _examples(scores: Scores) -> list[tuple[str, CaseScore]]:
    """The first case of each task that every system has, for each system."""
    names = set.intersection(*({case.name for case in cases if case.known} for cases in scores.values())) if scores else set()
    chosen: dict[str, Any] = {}
    for name in sorted(names, key=lambda name: (name[0], name[2], name[1] != "en")):
        chosen.setdefault(name[0], name)
    return [(system, case) for name in chosen.values() for system, cases in scores.items() for case in cases if case.name == name]


def _gallery(cases: Sequence[tuple[str, CaseScore]], folders: Mapping[str, Path]) -> str:
    figures = []
    for system, case in cases:
        folder = folders.get(system)
        pictures = [_inline(place(folder, case.name)) for place in (place_source, place_result)] if folder else []
        said = f"<b>{escape(system)}</b>, {escape('/'.join(case.name))}: {escape(case.instruction)}"
        said += f"<br>SC {_figure(case.sc)}, PQ {_figure(case.pq)}, O {_figure(case.o)}"
        shown = ""
        if len(pictures) == 2 and all(pictures):
            shown = (
                f'<div class="slide"><img src="{pictures[0]}" alt="before"><img class="after" src="{pictures[1]}" alt="after">'
                '<input type="range" min="0" max="100" value="50" aria-label="before and after"></div>'
            )
        figures.append(f"<figure>{shown}<figcaption>{said}</figcaption></figure>")
    return f'<div class="pairs">{"".join(figures)}</div>' if figures else "<p>None.</p>"


def _missing(scores: Scores) -> str:
    rows = [
        [system, "/".join(case.name), case.instruction, case.reason] for system, cases in scores.items() for case in cases if not case.known
    ]
    return _table(f"{len(rows)} cases", ["system", "case", "instruction", "reason"], rows, words=range(4)) if rows else "<p>None.</p>"


def _inline(path: Path) -> str:
    found = find_picture(path)
    if found is None:
        return ""
    try:
        picture = flatten(read_image(found).image)
    except ImageError:
        return ""
    picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    data = BytesIO()
    picture.save(data, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(data.getvalue()).decode()}"


def _heading(text: str) -> str:
    return f'<h2 id="{_anchor(text)}">{escape(text)}</h2>'


def _anchor(text: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in text.lower())


def _navigate(parts: Sequence[str]) -> str:
    """Links to every heading of the page, which is so long that nobody finds the examples otherwise."""
    found = [match for part in parts for match in re.findall(r'<h2 id="([^"]+)">(.*?)</h2>', part)]
    links = "".join(f'<a href="#{anchor}">{text}</a>' for anchor, text in found)
    return f"<nav>{links}</nav>"


def _table(
    caption: str,
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    words: Container[int] = (0,),
    figures: Sequence[Sequence[float | None]] = (),
) -> str:
    """A table; the columns of `words` are set to the left.

    With `figures`, those of all columns but the first, the largest of each row is told apart where it has company.
    """

    def mark(row: int, column: int) -> str:
        known = [value for value in figures[row] if value is not None] if figures else []
        if column and len(known) > 1 and figures[row][column - 1] == max(known):
            return "best"
        return "words" if column in words else ""

    def cell(text: str, kind: str) -> str:
        return f'<td class="{kind}">{escape(text)}</td>' if kind else f"<td>{escape(text)}</td>"

    top = "".join(f"<th>{escape(each)}</th>" for each in head)
    cells = ("".join(cell(text, mark(row, column)) for column, text in enumerate(texts)) for row, texts in enumerate(rows))
    body = "".join(f"<tr>{each}</tr>" for each in cells)
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    return f"<table>{title}<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _range(values: Sequence[float | None]) -> str:
    return f"{_figure(values[0])} to {_figure(values[1])}"
