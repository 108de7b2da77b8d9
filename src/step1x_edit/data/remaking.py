"""Make any triplet of a set again, from its id alone, and compare it with the one in the set to the last bit."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from step1x_edit.data.books import REJECTED
from step1x_edit.data.building import PHOTOGRAPHS, read_recipe_of, read_set
from step1x_edit.data.candidates import Candidate, Workshop, list_versions
from step1x_edit.data.filters import FILTERS
from step1x_edit.data.photographs import Input
from step1x_edit.data.pipeline import sift
from step1x_edit.data.shards import Record, list_shards, pack, read_tar
from step1x_edit.data.slots import parse_id
from step1x_edit.data.storage import make_folder, read_lines
from step1x_edit.errors import UsageError


@dataclass(frozen=True)
class Remade:
    """A triplet made again.

    Attributes:
        id: its id.
        files: by their endings, as in a shard; empty where nothing could be drawn.
        differing: endings of the files that differ from those in the set.
        known: whether the set holds it.
        rejection: why it is not in the set, where it is not.
        versions: tools whose version is another one now: (name, then, now).
    """

    id: str
    files: dict[str, bytes]
    differing: tuple[str, ...]
    known: bool
    rejection: str
    versions: tuple[tuple[str, str, str], ...]


def remake(folder: Path, name: str) -> Remade:
    """Make a triplet of the set in `folder` again.

    Raises:
        UsageError: the id is none, the set was not built here or is not finished, or a picture it is made of has gone or changed.
    """
    slot, index = parse_id(name)
    recipe = read_recipe_of(folder)
    read_set(folder)
    inputs = [Input.from_row(row) for row in read_lines(folder / PHOTOGRAPHS)]
    kept = _find(folder, name)
    record = Record.from_json(kept["json"], folder) if kept else None
    workshop = Workshop(recipe, inputs)
    candidate = workshop.draw(slot, index)
    if record is not None and candidate.triplet is not None:
        candidate = _take_words(candidate, record)
    view = workshop.view(candidate) if candidate.triplet is not None else None
    for stage in FILTERS:
        if stage not in recipe.limits.off and view is not None and candidate.rejection is None:
            candidate = sift(candidate, view, stage, recipe.limits)
    if record is not None:
        later = {stage: numbers for stage, numbers in record.numbers.items() if stage not in FILTERS}
        candidate = dataclasses.replace(candidate, numbers={**candidate.numbers, **later})
    files = pack(candidate.triplet, candidate.record(), recipe.format) if candidate.triplet is not None else {}
    then, now = (record.provenance["versions"] if record else list_versions()), list_versions()
    if record is not None and candidate.triplet is not None:
        then, now = then | name_tools(record.parameters), now | name_tools(candidate.triplet.parameters)
    versions = tuple((key, then.get(key, "none"), now.get(key, "none")) for key in (then | now) if then.get(key) != now.get(key))
    differing = tuple(ending for ending in files if kept and kept.get(ending) != files[ending])
    return Remade(name, files, differing, bool(kept), _find_rejection(folder, name, candidate) if not kept else "", versions)


def name_tools(parameters: Mapping[str, Any]) -> dict[str, str]:
    """The tools that a triplet's parameters name: role -> name, version, and the checksums of its weights."""
    return {f"the {role}": ", ".join(_list_identity(card)) for role, card in parameters.get("tools", {}).items()}


def _list_identity(card: Mapping[str, Any]) -> list[str]:
    """What tells a tool's card from another's; a tool of several models has a card for each of them inside its own."""
    own = [str(card[key])[:80] for key in ("name", "version", "revision", "sha256") if key in card]
    return own + [item for part in card.values() if isinstance(part, Mapping) for item in _list_identity(part)]


def _take_words(candidate: Candidate, record: Record) -> Candidate:
    """Words that a model has written cannot be asked for again; the set's own are taken."""
    assert candidate.triplet is not None
    if "writer" not in record.provenance:
        return candidate
    triplet = dataclasses.replace(candidate.triplet, instruction_en=record.instruction_en, instruction_zh=record.instruction_zh)
    provenance = {**candidate.provenance, "writer": record.provenance["writer"]}
    return dataclasses.replace(candidate, triplet=triplet, provenance=provenance)


def _find(folder: Path, name: str) -> dict[str, bytes]:
    """The files of a triplet of the set, or none."""
    for path in list_shards(folder):
        for key, files in read_tar(path):
            if key == name:
                return files
    return {}


def _find_rejection(folder: Path, name: str, candidate: Candidate) -> str:
    for row in read_lines(folder / REJECTED):
        if row["id"] == name:
            return f"{row['stage']}: {row['reason']}"
    if candidate.rejection is not None:
        return f"{candidate.rejection.stage}: {candidate.rejection.reason}"
    return "it was not needed: its category was full, or it was never drawn"


def write_files(remade: Remade, out: Path) -> list[Path]:
    """Write its files into a folder; raises UsageError where there is nothing to write."""
    if not remade.files:
        raise UsageError(f"{remade.id} could not be drawn ({remade.rejection}); there is no picture of it.")
    make_folder(out)
    paths = []
    for ending, data in remade.files.items():
        path = out / f"{remade.id}.{ending}"
        path.write_bytes(data)
        paths.append(path)
    return paths
