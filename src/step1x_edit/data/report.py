"""What a set holds, and what became of its candidates: figures, the same as text, and pages with pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from step1x_edit.data.books import REJECTED, REJECTED_PICTURES
from step1x_edit.data.building import read_set
from step1x_edit.data.filters import FILTERS
from step1x_edit.data.page import Card, inline_mask, inline_picture, write_page
from step1x_edit.data.shards import decode_mask, decode_pair, list_shards, read_records, read_tar
from step1x_edit.data.storage import read_lines
from step1x_edit.errors import UsageError

STAGES = ("draw", *FILTERS, "writer", "judge", "duplicates")
"""In the order in which candidates meet them."""


def inspect_set(folder: Path) -> dict[str, Any]:
    """What a set holds; its shards are looked for, and their sizes compared.

    Raises:
        UsageError: there is no finished set, or a shard is missing or is not whole.
    """
    facts = read_set(folder)
    list_shards(folder)
    return facts


def describe_set(facts: dict[str, Any]) -> str:
    """The same for people."""
    lines = [f"{facts['count']} triplets in {len(facts['shards'])} shards, {sum(s['bytes'] for s in facts['shards']) / 1e6:.1f} MB", ""]
    lines += [f"  {category:18} {count:6}" for category, count in facts["categories"].items()]
    lines += ["", *(f"  made by the route {route}: {count}" for route, count in facts["routes"].items())]
    lines += ["", *(f"  {count} pictures and clips under {licence}" for licence, count in facts["licences"].items())]
    lines += ["", "  " + ", ".join(f"{name} {version}" for name, version in facts["versions"].items())]
    return "\n".join(lines)


def report_survival(folder: Path) -> dict[str, Any]:
    """How many candidates each stage let through, by category, and why inputs and candidates were left out.

    `categories` maps each category to its kept triplets; `survival` maps each slot (see `slots.py`) to the candidates drawn, those left
    after each stage, those that were not needed ("spare") and those kept; `composed_instead` says of how many triplets of a category
    photographs did not allow what was asked for.
    """
    facts = read_set(folder)
    rejected = facts["rejected"]
    stages = [stage for stage in STAGES if any(stage in found for found in rejected.values())]
    survival = {}
    for slot, left in (facts["drawn"] or facts["categories"]).items():
        row = {"drawn": left}
        for stage in stages:
            left -= sum(rejected.get(slot, {}).get(stage, {}).values())
            row[stage] = left
        spare = facts["spare"].get(slot, 0)
        survival[slot] = {**row, "spare": spare, "kept": left - spare}
    reasons: Counter[str] = Counter()
    for found in rejected.values():
        for stage, counts in found.items():
            reasons.update({f"{stage}: {reason}": count for reason, count in counts.items()})
    return {
        "categories": facts["categories"],
        "survival": survival,
        "reasons": dict(reasons.most_common()),
        "composed_instead": facts.get("composed_instead", {}),
        "photographs": facts["photographs"],
    }


def tabulate(report: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Heading and rows of the survival table; the last row adds up."""
    survival = report["survival"]
    columns = list(next(iter(survival.values()), {}))
    rows = [[category, *(str(row[column]) for column in columns)] for category, row in survival.items()]
    rows.append(["all", *(str(sum(row[column] for row in survival.values())) for column in columns)])
    return ["category", *columns], rows


def describe_report(report: dict[str, Any]) -> str:
    """The report as text."""
    head, rows = tabulate(report)
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    lines = ["Candidates left after each stage:", ""]
    for row in (head, *rows):
        lines.append(
            "  " + row[0].ljust(widths[0]) + "".join(f"  {cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True))
        )
    if report["reasons"]:
        lines += ["", "Why candidates were rejected:", "", *(f"  {count:6}  {reason}" for reason, count in report["reasons"].items())]
    for category, count in report["composed_instead"].items():
        lines += ["", f"{count} of {category} were to come from photographs, which did not allow more; they were composed."]
    photographs = report["photographs"]
    lines += ["", f"{photographs['taken']} photographs were taken."]
    if photographs["skipped"]:
        lines += ["Left out:", "", *(f"  {count:6}  {reason}" for reason, count in photographs["skipped"].items())]
    return "\n".join(lines)


def write_report(folder: Path, path: Path, each: int = 3) -> None:
    """Write a page with the report and `each` kept triplets of each category, and the pictures that were kept of rejected ones."""
    report = report_survival(folder)
    head, rows = tabulate(report)
    tables = [("Candidates left after each stage", head, rows)]
    tables.append(("Why candidates were rejected", ["reason", "candidates"], [[k, str(v)] for k, v in report["reasons"].items()]))
    skipped = report["photographs"]["skipped"]
    tables.append(("Inputs that were left out", ["reason", "files"], [[k, str(v)] for k, v in skipped.items()]))
    write_page(path, f"Report of {folder.name}", tables, [*_kept_cards(folder, each, report["categories"]), *_rejected_cards(folder, ())])


def write_view(folder: Path, path: Path, each: int, categories: Sequence[str]) -> int:
    """Write a page with `each` kept triplets of each category, or of `categories` alone, and rejected ones; returns how many it shows."""
    facts = read_set(folder)
    unknown = [name for name in categories if name not in facts["categories"]]
    if unknown:
        raise UsageError(f"The set holds no triplets of the category {unknown[0]}; it has {', '.join(facts['categories'])}.")
    counts = {name: count for name, count in facts["categories"].items() if not categories or name in categories}
    cards = [*_kept_cards(folder, each, counts), *_rejected_cards(folder, categories)]
    write_page(path, f"{folder.name}: {facts['count']} triplets", [], cards)
    return len(cards)


def _kept_cards(folder: Path, each: int, counts: Mapping[str, int]) -> Iterable[Card]:
    """The first `each` triplets of each category, of which there are so many; no more of the set is read than they take."""
    left = {category: min(each, count) for category, count in counts.items()}
    cards: list[Card] = []
    for record, files in read_records(folder):
        if not left.get(record.category):
            continue
        left[record.category] -= 1
        mask = inline_mask(decode_mask(files["mask.png"])) if "mask.png" in files else None
        source, target = map(inline_picture, decode_pair(files))
        words = record.instruction_en, record.instruction_zh
        cards.append(Card(record.id, record.category, "", words, source, target, mask, record.numbers, record.provenance))
        if not any(left.values()):
            break
    return sorted(cards, key=lambda card: card.category)


def _rejected_cards(folder: Path, categories: Sequence[str]) -> Iterable[Card]:
    if not (folder / REJECTED_PICTURES).exists():
        return
    pictures = dict(read_tar(folder / REJECTED_PICTURES))
    for row in read_lines(folder / REJECTED):
        if row["id"] not in pictures or (categories and row["category"] not in categories):
            continue
        source, target = map(inline_picture, decode_pair(pictures[row["id"]]))
        words, reason = (row["instruction_en"], row["instruction_zh"]), f"{row['stage']}: {row['reason']}"
        yield Card(row["id"], row["category"], reason, words, source, target, None, row["numbers"], {})
