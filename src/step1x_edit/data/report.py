"""What a set holds, and what became of its candidates: figures, and the same as text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from step1x_edit.data.building import read_set
from step1x_edit.data.shards import SHARDS
from step1x_edit.errors import UsageError


def inspect_set(folder: Path) -> dict[str, Any]:
    """What a set holds; its shards are looked for, and their sizes compared.

    Raises:
        UsageError: there is no finished set, or a shard is missing or is not whole.
    """
    facts = read_set(folder)
    for shard in facts["shards"]:
        path = folder / SHARDS / shard["file"]
        if not path.is_file() or path.stat().st_size != shard["bytes"]:
            raise UsageError(f"The shard {path} is missing or not whole; build or fetch the set again.")
    return facts


def describe_set(facts: dict[str, Any]) -> str:
    """The same for people."""
    lines = [f"{facts['count']} triplets in {len(facts['shards'])} shards, {sum(s['bytes'] for s in facts['shards']) / 1e6:.1f} MB", ""]
    lines += [f"  {category:18} {count:6}" for category, count in facts["categories"].items()]
    lines += ["", *(f"  made by the route {route}: {count}" for route, count in facts["routes"].items())]
    lines += ["", *(f"  {count} photographs under {licence}" for licence, count in facts["licences"].items())]
    lines += ["", "  " + ", ".join(f"{name} {version}" for name, version in facts["versions"].items())]
    return "\n".join(lines)
