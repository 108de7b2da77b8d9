"""Sets in other formats: out of a set, and into one. Pictures are copied byte for byte, never encoded again.

    folder      source/ID.jpg, target/ID.jpg, mask/ID.png, metadata.jsonl: a line of JSON for each triplet, which names its files, too
    parquet     data/train-00000-of-00003.parquet, as datasets.load_dataset reads it: pictures as Image columns
    finetune    what the published fine-tuning reads: target/ID.jpg, source/ID.jpg, and metadata_en.json and metadata_zh.json, each
                {target's name: {"caption": instruction, "ref_image_path": path of the source}}; beside them ATTRIBUTION.csv, which says
                of which pictures each triplet is made, and under what licences, as that JSON cannot

The published JSON holds neither masks nor categories; brought in again, its edits act on the whole picture, and the category comes from the
id, where the name is one, or from what the caller says.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from step1x_edit.data.shards import (
    OBJECTS,
    SET,
    SHARDS,
    TEXTS,
    Record,
    decode_picture,
    find_file,
    is_broken,
    name_picture,
    read_records,
    split_caption,
    to_tar,
    write_tar,
)
from step1x_edit.data.slots import COMPOSED, Slot, name_candidate, parse_id
from step1x_edit.data.storage import read_rows, replace_file, write_bytes, write_json, write_lines
from step1x_edit.data.unfinished import ATTRIBUTION, METADATA, METADATA_EN, METADATA_ZH, UNFINISHED, WORK, check_free, export_whole
from step1x_edit.errors import ImageError, UsageError
from step1x_edit.image_io import read_image
from step1x_edit.tables import read_json_lines
from step1x_edit.types import EditCategory

Sample = tuple[Record, dict[str, bytes]]
"""A record, and its files by their endings, as in a shard."""

_LANGUAGES = {"en": METADATA_EN, "zh": METADATA_ZH}
_LONGEST_ID = 80
"""Bytes: with its endings, a name in a tar file has 100. Whatever reads shards takes what stands before the first dot for the id."""

_PICTURES = ("source", "target", "mask")

_ROWS = 500
"""Triplets in one Parquet file."""


def _read_named(folder: Path) -> Iterator[Sample]:
    """The samples of a set; raises UsageError where files cannot be called by an id, or two triplets have the same."""
    seen: set[str] = set()
    for record, files in read_records(folder):
        if fault := _find_id_fault(record.id):
            raise UsageError(f"A triplet of {folder} cannot be written to files of its name: {fault}.")
        _check_once(record.id, seen)
        yield record, files


def _check_once(identity: str, seen: set[str]) -> None:
    if identity in seen:
        raise UsageError(f"The id {identity} comes twice; every triplet needs its own.")
    seen.add(identity)


def export_folder(folder: Path, out: Path) -> int:
    """Write a set as a plain folder; returns the number of triplets.

    Every export is there as a whole or not at all, and raises UsageError for ids that cannot name files.
    """
    rows = []
    with export_whole(out) as place:
        for record, files in _read_named(folder):
            row = dataclasses.asdict(record)
            for ending, data in files.items():
                name, _, kind = ending.partition(".")
                if kind and name in _PICTURES:  # the name before ".png" alone is empty, and leads to the root
                    row[f"{name}_file_name"] = f"{name}/{record.id}.{kind}"
                    write_bytes(place / row[f"{name}_file_name"], data)
            rows.append(row)
        write_lines(place / METADATA, rows)
    return len(rows)


def export_finetune(folder: Path, out: Path) -> int:
    """Write a set as the published fine-tuning reads it; returns the number of triplets."""
    captions: dict[str, dict[str, dict[str, str]]] = {language: {} for language in _LANGUAGES}
    credits: list[tuple[str, ...]] = [("file", "made of", "licence", "attribution", "source")]
    count = 0
    with export_whole(out) as place:
        for record, files in _read_named(folder):
            names = {}
            for which in ("source", "target"):
                kind, data = find_file(files, which)
                names[which] = f"{record.id}.{kind}"
                write_bytes(place / which / names[which], data)
            reference = str((out / "source" / names["source"]).resolve())
            for language, text in (("en", record.instruction_en), ("zh", record.instruction_zh)):
                if text:
                    captions[language][names["target"]] = {"caption": text, "ref_image_path": reference}
            for name, origin in _list_origins(record):
                said = (str(origin.get(key) or "") for key in ("licence", "attribution", "source"))
                credits.append((f"target/{names['target']}", name, *said))
            count += 1
        table = io.StringIO()
        csv.writer(table, lineterminator="\n").writerows(credits)
        write_bytes(place / ATTRIBUTION, table.getvalue().encode(errors="backslashreplace"))
        for language, file in _LANGUAGES.items():
            write_json(place / file, captions[language])
    return count


def export_parquet(folder: Path, out: Path) -> int:
    """Write a set as Parquet; returns the number of triplets."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    picture = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    texts = (*TEXTS, *OBJECTS)
    features = {name: {"_type": "Image"} for name in _PICTURES} | {name: {"dtype": "string", "_type": "Value"} for name in texts}
    told = {"huggingface": json.dumps({"info": {"features": features}})}
    schema = pa.schema([*((name, picture) for name in _PICTURES), *((name, pa.string()) for name in texts)], metadata=told)
    total = sum(1 for _ in _read_named(folder))
    parts = -(-total // _ROWS)
    samples = read_records(folder)
    with export_whole(out) as place:
        for part in range(parts):
            rows = []
            for _, (record, files) in zip(range(_ROWS), samples, strict=False):
                row: dict[str, Any] = {name: getattr(record, name) for name in TEXTS}
                row |= {name: _to_text(getattr(record, name)) for name in OBJECTS}
                for name in _PICTURES:
                    if name in {ending.partition(".")[0] for ending in files}:
                        kind, data = find_file(files, name)
                        row[name] = {"bytes": data, "path": f"{record.id}.{name}.{kind}"}
                rows.append(row)
            with replace_file(place / "data" / f"train-{part:05d}-of-{parts:05d}.parquet") as file:
                pq.write_table(pa.Table.from_pylist(rows, schema), file)
    return total


def _to_text(value: Any) -> str:
    """JSON, with escapes for what is no Unicode, as `Record.to_json` has them."""
    return json.dumps(value, ensure_ascii=False).encode(errors="backslashreplace").decode()


def read_folder(folder: Path, category: EditCategory | None = None) -> Iterator[Sample]:
    """A plain folder as `export_folder` writes it: files are those that the lines name, or where there are none, those of the id.

    The category is of lines that do not say one.
    """
    places = {name: {path.stem: path for path in sorted((folder / name).glob("*.*"))} for name in _PICTURES}
    for values in read_json_lines(folder / METADATA):
        record = Record.from_json(json.dumps(_complete(values, category)), folder / METADATA)
        named = {name: folder / str(values.get(f"{name}_file_name") or "") for name in places}
        paths = {name: path if path.is_file() else places[name].get(record.id) for name, path in named.items()}
        yield record, dict(name_picture(name, path.name, path.read_bytes()) for name, path in paths.items() if path is not None)


def read_finetune(metadata: Path, category: EditCategory | None = None) -> Iterator[Sample]:
    """The published fine-tuning's JSON, of one language, or of both where it lies beside the other as `export_finetune` writes it.

    Targets are looked for beside the JSON and in its folder "target"; sources where the JSON says, from the root or from the JSON's folder,
    and by their name in its folder "source", so that what was exported may be carried elsewhere.
    """
    languages = _LANGUAGES.values() if metadata.name in _LANGUAGES.values() else [metadata.name]
    paths = [path for path in map(metadata.with_name, languages) if path == metadata or path.exists()]
    tables = {path: _read_captions(path) for path in paths}
    names = dict.fromkeys(name for table in tables.values() for name in table)
    for index, name in enumerate(names):
        entry = next(table[name] for table in tables.values() if name in table)
        captions = [split_caption(path, table[name]["caption"]) for path, table in tables.items() if name in table]
        english, chinese = (next(filter(None, texts), "") for texts in zip(*captions, strict=True))
        files: dict[str, bytes] = {}
        reference = Path(entry["ref_image_path"])
        places = {"target": (Path(name), Path("target") / name), "source": (reference, Path("source") / reference.name)}
        for which, candidates in places.items():
            path = next((metadata.parent / place for place in candidates if (metadata.parent / place).is_file()), None)
            if path is not None:
                files.update([name_picture(which, path.name, path.read_bytes())])
        identity, kind = _identify(Path(name).stem, index, category)
        yield Record(identity, kind.value, english, chinese, "", "", ""), files


def _identify(stem: str, index: int, category: EditCategory | None) -> tuple[str, EditCategory]:
    try:
        return stem, parse_id(stem)[0].category
    except UsageError:
        if category is None:
            raise UsageError(f"Nothing says which kind of edit {stem} is; name it with --category.") from None
        return name_candidate(Slot(category, COMPOSED), index), category


def _read_captions(path: Path) -> dict[str, dict[str, str]]:
    try:
        values = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=partial(_check_keys, path))
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path} cannot be read as JSON ({error}).") from error
    fits = isinstance(values, dict) and all(
        isinstance(entry, dict) and isinstance(entry.get("caption"), str) and isinstance(entry.get("ref_image_path"), str)
        for entry in values.values()
    )
    if not fits:
        raise UsageError(f'{path} is not fine-tuning JSON: {{"target.jpg": {{"caption": "...", "ref_image_path": "source.jpg"}}}}.')
    if broken := next((name for name, entry in values.items() if is_broken(entry["caption"])), None):
        raise UsageError(f"{path} has a caption of {broken!r} that holds half of a character; write it in whole ones.")
    return values  # type: ignore[no-any-return]


def _check_keys(path: Path, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; raises UsageError where a key comes twice, of which a dictionary keeps the last."""
    values = dict(pairs)
    if len(values) < len(pairs):
        double = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise UsageError(f"{path} has {double!r} twice in one object; give each entry a name of its own.")
    return values


def _complete(values: Mapping[str, Any], category: EditCategory | None) -> dict[str, Any]:
    said = values.get("category")
    return {**values, "category": category.value if said is None and category is not None else said}


def read_parquet(folder: Path, category: EditCategory | None = None) -> Iterator[Sample]:
    """Parquet files as `export_parquet` writes them; the category is of rows that do not say one."""
    known = {*_PICTURES, *TEXTS, *OBJECTS}
    for path in _list_parquet(folder):
        yield from (_read_row(path, _complete(row, category)) for row in read_rows(path, lambda column: column.name in known))


def _list_parquet(source: Path) -> list[Path]:
    return [path for path in sorted(source.rglob("*.parquet")) if UNFINISHED not in path.parts] if source.is_dir() else [source]


def _read_row(path: Path, row: dict[str, Any]) -> Sample:
    known = {name: row[name] for name in (*TEXTS, *OBJECTS) if row.get(name) is not None}
    files: dict[str, bytes] = {}
    try:
        values = json.dumps({key: value if key in TEXTS else json.loads(value) for key, value in known.items()})
        for name in _PICTURES:
            cell = row.get(name)
            if cell and cell.get("bytes"):
                files.update([name_picture(name, cell.get("path") or "", bytes(memoryview(cell["bytes"])))])  # lists are no memory
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        texts_and_pictures = "pictures are structs of bytes and path, and parameters, provenance and numbers are JSON in text"
        raise UsageError(f"{path} holds no triplets as they are exported, where {texts_and_pictures}.") from error
    return Record.from_json(values, path), files


EXPORTS: dict[str, Callable[[Path, Path], int]] = {"folder": export_folder, "parquet": export_parquet, "finetune": export_finetune}
"""Writers by the name of the format."""


def open_foreign(source: Path, category: EditCategory | None) -> Iterator[Sample]:
    """The samples of a file or folder in any of the formats; raises UsageError where it is none."""
    if source.is_file() and source.suffix.lower() == ".json":
        return read_finetune(source, category)
    if source.is_file() and source.suffix.lower() == ".parquet":
        return read_parquet(source, category)
    if (source / METADATA).is_file():
        return read_folder(source, category)
    if (source / _LANGUAGES["en"]).is_file():
        return read_finetune(source / _LANGUAGES["en"], category)
    if source.is_dir() and _list_parquet(source):
        return read_parquet(source, category)
    raise UsageError(f"{source} is none of: a folder with {METADATA}, fine-tuning JSON, or Parquet.")


@dataclass
class _Tally:
    """What `set.json` counts of the triplets of an import, and those that are left out.

    Attributes:
        categories, routes: of the triplets.
        licences: of each photograph, cut-out and clip that the provenance names, by name and checksum.
        left_out: id and reason of each triplet.
    """

    categories: Counter[str] = field(default_factory=Counter)
    routes: Counter[str] = field(default_factory=Counter)
    licences: dict[tuple[str, str], str] = field(default_factory=dict)
    left_out: list[dict[str, str]] = field(default_factory=list)

    def take(self, record: Record) -> None:
        """Count one."""
        self.categories[record.category] += 1
        self.routes[str(record.provenance.get("route", "unknown"))] += 1
        for name, origin in _list_origins(record):
            self.licences[name, str(origin.get("sha256"))] = str(origin.get("licence") or "unknown")


def import_set(samples: Iterable[Sample], out: Path, shard: int = 100) -> dict[str, Any]:
    """Write samples as a set; those that are not whole are left out with a reason. Returns what `set.json` says.

    Until all is written, the shards lie where no reader takes them for a set; what a kill leaves of them makes room for the next import.

    Raises:
        UsageError: the folder is not empty, an id comes twice, or no sample is whole.
    """
    check_free(out)
    tally = _Tally()
    stretches = _pack_whole(samples, tally)
    shards: list[dict[str, Any]] = []
    while part := list(islice(stretches, shard)):
        path = out / WORK / f"triplets-{len(shards):05d}.tar"
        length, digest = write_tar(path, part)
        shards.append({"file": path.name, "triplets": len(part), "bytes": length, "sha256": digest})
    if not shards:
        raise UsageError(f"No whole triplet was found ({tally.left_out[0]['reason'] if tally.left_out else 'there is none at all'}).")
    facts = {
        "count": tally.categories.total(),
        "categories": dict(sorted(tally.categories.items())),
        "routes": dict(tally.routes),
        "drawn": {},
        "rejected": {},
        "spare": {},
        "photographs": {"taken": 0, "skipped": {}},
        "licences": dict(sorted(Counter(tally.licences.values()).items())),
        "left_out": tally.left_out,
        "shards": shards,
        "versions": {},
    }
    write_json(out / SET, facts)
    os.replace(out / WORK, out / SHARDS)
    return facts


def _pack_whole(samples: Iterable[Sample], tally: _Tally) -> Iterator[bytes]:
    """The stretches of the whole ones among some samples; raises UsageError where an id comes twice."""
    seen: set[str] = set()
    for record, files in samples:
        _check_once(record.id, seen)
        if reason := _find_fault(record, files):
            tally.left_out.append({"id": record.id, "reason": reason})
            continue
        tally.take(record)
        yield to_tar(record.id, {**{ending: data for ending, data in files.items() if ending != "json"}, "json": record.to_json()})


def _list_origins(record: Record) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name of each picture and clip that a triplet is made of, and what its provenance says of it."""
    provenance = record.provenance
    cutouts = provenance.get("cutouts")
    for origin in (provenance.get("photograph"), provenance.get("clip"), *(cutouts if isinstance(cutouts, list) else ())):
        if isinstance(origin, dict):
            yield str(origin.get("file") or origin.get("name")), origin


def _find_id_fault(identity: str) -> str:
    """Why files and shards cannot be called by an id, or empty."""
    if "." in identity or "/" in identity or not identity.isprintable() or not 0 < len(identity.encode()) <= _LONGEST_ID:
        return f"its id {identity[:_LONGEST_ID]!r} is longer than {_LONGEST_ID} bytes, or holds a dot, a slash or a control character"
    return ""


def _find_fault(record: Record, files: dict[str, bytes]) -> str:
    """Why a sample cannot be part of a set, or empty."""
    if fault := _find_id_fault(record.id):
        return fault
    if record.category not in list(EditCategory):
        return f"its category {record.category!r} is none of the eleven"
    if not record.instruction_en and not record.instruction_zh:
        return "it has no instruction"
    endings = {ending.partition(".")[0]: ending for ending in files}
    if endings.get("mask", "mask.png") != "mask.png":
        return "its mask is not a PNG"
    sizes = {}
    for name in _PICTURES:
        if name in endings:
            try:
                sizes[name] = _measure(files[endings[name]])
            except ImageError:
                return f"its {name} is not a whole picture"
        elif name != "mask":
            return f"its {name} is missing"
    if sizes["source"] != sizes["target"]:
        return "source and target differ in size"
    return "its mask differs from the pictures in size" if sizes.get("mask", sizes["source"]) != sizes["source"] else ""


def _measure(data: bytes) -> tuple[int, ...]:
    """Height and width of a picture that is there to its last row, which OpenCV alone does not notice; raises ImageError."""
    read_image(data)
    return decode_picture(data).shape[:2]
