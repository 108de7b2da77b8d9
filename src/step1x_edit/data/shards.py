"""Training shards: plain tar files in the WebDataset convention, of the same bytes wherever and whenever they are written.

The files of one triplet follow each other and share its id as key:

    <id>.source.jpg   the picture before; .png in sets that are kept without loss
    <id>.target.jpg   the picture after
    <id>.mask.png     white where the edit is meant to act, black elsewhere; one bit a pixel
    <id>.json         everything else: see `Record`

`webdataset.WebDataset("set/shards/triplets-{00000..00010}.tar")` reads them, and so does `read_triplets` here.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any

import cv2
import numpy as np
from PIL import Image

from step1x_edit.data.storage import replace_file
from step1x_edit.data.triplet import Mask, Pixels, Triplet
from step1x_edit.errors import ImageError, UsageError
from step1x_edit.image_io import DECODE_ERRORS, READ_FORMATS, read_endings
from step1x_edit.types import EditCategory

SHARDS, SET, RECIPE = "shards", "set.json", "recipe.json"
_QUOTED = re.compile('"[^"]*"|“[^”]*”|‘[^’]*’|「[^」]*」')

_END = 10240
"""Tar archives are filled up with zeros to a multiple of so many bytes."""

# Choice: all colours at full resolution (4:4:4), so that the 8 x 8 blocks that an edit does not touch are the same in source and target.
_OPTIONS: dict[str, list[int]] = {
    "jpg": [cv2.IMWRITE_JPEG_QUALITY, 95, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444],
    "png": [cv2.IMWRITE_PNG_COMPRESSION, 1],
}


@dataclass(frozen=True)
class Record:
    """The JSON of a triplet.

    Attributes:
        id: category and number of the candidate: with the set's recipe, enough to make the triplet again.
        category: one of the eleven.
        instruction_en, instruction_zh: what is asked.
        source_caption, target_caption: short English descriptions.
        edit: the request in a closed English vocabulary.
        parameters: what the category drew: subjects, places, strengths.
        provenance: route, seed, photograph with its checksum and licence, cut-outs, and the versions of the tools.
        numbers: what each filter measured, by the filter's name.
    """

    id: str
    category: str
    instruction_en: str
    instruction_zh: str
    source_caption: str
    target_caption: str
    edit: str
    parameters: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    numbers: dict[str, dict[str, Any]] = field(default_factory=dict)

    def to_json(self) -> bytes:
        """UTF-8, keys in the order above; what is no Unicode, as in names of files that are not UTF-8, is written as JSON's escapes."""
        return json.dumps(dataclasses.asdict(self), ensure_ascii=False).encode(errors="backslashreplace")

    @classmethod
    def from_json(cls, data: bytes | str, file: str | Path = "") -> Record:
        """Read one; keys that are not known, and objects that are null, are left aside, so that other people's shards can be read.

        Args:
            data: a JSON object, whose id may be a number, too.
            file: where it is from, for errors.

        Raises:
            UsageError: it is no JSON object, or a value is missing or of another type.
        """
        place = f" in {file}" if file else ""
        try:
            values = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"A triplet's JSON cannot be read ({error}){place}; correct it.") from error
        if not isinstance(values, dict):
            raise UsageError(f"A triplet's JSON cannot be read{place}; it must be an object.")
        if type(values.get("id")) is int:
            values["id"] = str(values["id"])
        known = {f.name: values[f.name] for f in dataclasses.fields(cls) if values.get(f.name) is not None}
        whose = f"the triplet {values['id']!r}" if "id" in values else "a triplet"
        for f in dataclasses.fields(cls):
            if fault := _find_value_fault(f.name, known):
                raise UsageError(f"The JSON of {whose}{place} is wrong: {fault}; correct it.")
        return cls(**known)


TEXTS = tuple(f.name for f in dataclasses.fields(Record) if f.type == "str")
OBJECTS = tuple(f.name for f in dataclasses.fields(Record) if f.type != "str")
"""Fields of a `Record` by what they hold."""


def _find_value_fault(name: str, values: Mapping[str, Any]) -> str:
    """Why a record cannot be made with what its JSON says of a field, or empty."""
    if name in OBJECTS:
        return "" if isinstance(values.get(name, {}), dict) else f"its {name} is no object"
    if name not in values:
        return f"its {name} is missing"
    if not isinstance(values[name], str):
        return f"its {name} is no text"
    return f"its {name} holds half of a character ({values[name][:40]!r})" if is_broken(values[name]) else ""


def is_broken(text: str) -> bool:
    """Whether a text holds half of a character, as JSON's escapes may (\\ud83d), so that it cannot be written as UTF-8."""
    return any("\ud800" <= c <= "\udfff" for c in text)


def split_caption(file: Path, caption: str) -> tuple[str, str]:
    """An instruction of the published fine-tuning's JSON as the English and the Chinese one, of which the other is empty.

    Its file's name tells the language, as the published ones do, or else whether there is Chinese outside of quotation marks.
    """
    language = file.stem.rpartition("_")[2]
    chinese = language == "zh" or (language != "en" and bool(re.search("[\u4e00-\u9fff]", _QUOTED.sub("", caption))))
    return ("", caption) if chinese else (caption, "")


def encode_picture(pixels: Pixels, ending: str) -> bytes:
    """uint8 [H, W, 3] sRGB -> a file of the ending "jpg" (quality 95) or "png"."""
    return cv2.imencode(f".{ending}", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), _OPTIONS[ending])[1].tobytes()


def encode_mask(mask: Mask) -> bytes:
    """bool [H, W] -> PNG with one bit a pixel."""
    return cv2.imencode(".png", mask.view(np.uint8) * 255, [cv2.IMWRITE_PNG_BILEVEL, 1])[1].tobytes()


def decode_picture(data: bytes) -> Pixels:
    """A picture of a shard -> uint8 [H, W, 3] sRGB."""
    return cv2.cvtColor(_decode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB).astype(np.uint8)


def decode_mask(data: bytes) -> Mask:
    """A mask of a shard -> bool [H, W]."""
    return _decode(data, cv2.IMREAD_GRAYSCALE) > 127


def _decode(data: bytes, flag: int) -> Pixels:
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flag) if data else None
    if pixels is None:
        raise ImageError("A picture of the set is damaged; build or fetch the set again.")
    return pixels.astype(np.uint8)


def pack(triplet: Triplet, record: Record, ending: str) -> dict[str, bytes]:
    """The files of a triplet by their endings, in the order they are kept in."""
    return {
        f"source.{ending}": encode_picture(triplet.source, ending),
        f"target.{ending}": encode_picture(triplet.target, ending),
        "mask.png": encode_mask(triplet.region),
        "json": record.to_json(),
    }


def to_tar(key: str, files: Mapping[str, bytes]) -> bytes:
    """A sample as a stretch of a tar file; such stretches one after the other, and `finish_tar`, are a whole one."""
    parts = []
    for ending, data in files.items():
        member = tarfile.TarInfo(f"{key}.{ending}")
        member.size, member.mode, member.mtime = len(data), 0o644, 0
        parts += [member.tobuf(tarfile.USTAR_FORMAT), data, bytes(-len(data) % tarfile.BLOCKSIZE)]
    return b"".join(parts)


def finish_tar(length: int) -> bytes:
    """What closes a tar file that is `length` bytes long so far."""
    return bytes(2 * tarfile.BLOCKSIZE + -(length + 2 * tarfile.BLOCKSIZE) % _END)


def write_tar(path: Path, stretches: Iterable[bytes]) -> tuple[int, str]:
    """Write stretches of a tar file, whole or not at all; returns its length and SHA-256."""
    digest, length = hashlib.sha256(), 0
    with replace_file(path) as file:
        for data in stretches:
            file.write(data)
            digest.update(data)
            length += len(data)
        end = finish_tar(length)
        file.write(end)
        digest.update(end)
    return length + len(end), digest.hexdigest()


def read_tar(path: Path) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Key and files of every sample of a shard, in its order.

    Raises:
        UsageError: the file cannot be read as a tar file.
    """
    try:
        with tarfile.open(path, "r:") as tar:
            yield from _read_samples(tar)
    except (KeyError, RecursionError) as error:
        raise UsageError(f"The shard {path} cannot be read (a link in it leads nowhere); build or fetch it again.") from error
    except (OSError, tarfile.TarError, EOFError) as error:
        raise UsageError(f"The shard {path} cannot be read ({error}); build or fetch it again.") from error


def read_sample(stretch: bytes) -> dict[str, bytes]:
    """The inverse of `to_tar`: the files of one sample."""
    with tarfile.open(fileobj=BytesIO(stretch + finish_tar(len(stretch)))) as tar:
        return next(_read_samples(tar))[1]


def _read_samples(tar: tarfile.TarFile) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Files that follow each other, in one folder, and are the same up to the first dot of their names; hidden files are passed over."""
    place, files = PurePosixPath(), dict[str, bytes]()
    for member in tar:
        path = PurePosixPath(member.name)
        stem, _, ending = path.name.partition(".")
        if not stem or member.isdir():
            continue
        if path.with_name(stem) != place and files:
            yield place.name, files
            files = {}
        place = path.with_name(stem)
        if ending in files:
            raise tarfile.ReadError(f"it holds {member.name} twice, one after the other")
        if member.issparse():
            raise tarfile.ReadError(f"{member.name} has holes, which pictures have not")
        content = tar.extractfile(member)
        if content is not None:
            files[ending] = content.read()
    if files:
        yield place.name, files


def list_shards(folder: Path) -> list[Path]:
    """The shards of a set, in order: those that its `set.json` names, or all .tar files where it has none. Their checksums are not taken.

    Raises:
        UsageError: there are none, the set is not finished, or a shard is missing or has lost bytes.
    """
    place = folder / SHARDS if (folder / SHARDS).is_dir() else folder
    if (folder / SET).exists():
        return [_check_shard(place / name, size) for name, size in _read_announced(folder / SET)]
    if (folder / RECIPE).exists():
        raise UsageError(f"{folder} holds no finished set; run its build command again to finish it.")
    found = sorted(place.glob("*.tar"))
    if not found:
        raise UsageError(f"{folder} holds no finished set and no .tar files; name another folder, or make a set with step1x data build.")
    return found


def _read_announced(path: Path) -> list[tuple[str, int]]:
    """Name and length of every shard of a `set.json`."""
    try:
        return [(str(shard["file"]), int(shard["bytes"])) for shard in json.loads(path.read_text(encoding="utf-8"))["shards"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} does not describe a set; build or fetch it again.") from error


def _check_shard(path: Path, size: int) -> Path:
    if not path.is_file() or path.stat().st_size != size:
        raise UsageError(f"The shard {path} is missing or not whole; build or fetch the set again.")
    return path


def read_records(folder: Path) -> Iterator[tuple[Record, dict[str, bytes]]]:
    """Record and undecoded files of every triplet of a set."""
    for path in list_shards(folder):
        for key, files in read_tar(path):
            if "json" not in files:
                raise UsageError(f"In the shard {path}, {key} has no JSON; the set is not whole.")
            yield Record.from_json(files["json"], path), files


def find_file(files: Mapping[str, bytes], name: str) -> tuple[str, bytes]:
    """The format, "jpg" say, and the bytes of the "source", "target" or "mask" among a sample's files; raises UsageError."""
    for ending, data in files.items():
        stem, _, kind = ending.partition(".")
        if stem == name:
            return kind, data
    raise UsageError(f"A triplet of the set has no {name}; the set is not whole.")


def find_picture(files: Mapping[str, bytes], name: str) -> bytes:
    """The bytes alone."""
    return find_file(files, name)[1]


def name_picture(name: str, file: str, data: bytes) -> tuple[str, bytes]:
    """A picture by its name in a sample, whose ending is its file's, or what it is where that is none of pictures: a part of a URL, say."""
    ending = Path(file).suffix.lower()
    if ending not in read_endings():
        try:
            kind = str(Image.open(BytesIO(data), formats=READ_FORMATS).format).lower()
        except DECODE_ERRORS:
            kind = "png"  # it is found to be no whole picture later
        ending = f".{kind}".replace("jpeg", "jpg")
    return f"{name}{ending}", data


def decode_pair(files: Mapping[str, bytes]) -> tuple[Pixels, Pixels]:
    """Source and target of a sample's files: uint8 [H, W, 3] each; raises UsageError or ImageError where one is missing or damaged."""
    return decode_picture(find_picture(files, "source")), decode_picture(find_picture(files, "target"))


def unpack(record: Record, files: Mapping[str, bytes]) -> Triplet:
    """The triplet of a sample's files; one without a mask may act on the whole picture.

    Raises:
        UsageError: a file is missing or damaged, or its category is unknown.
    """
    if record.category not in set(EditCategory):
        raise UsageError(f"The triplet {record.id} is of the category {record.category!r}; it is one of {', '.join(EditCategory)}.")
    source, target = decode_pair(files)
    region = decode_mask(files["mask.png"]) if "mask.png" in files else np.ones(source.shape[:2], np.bool_)
    return Triplet(
        source=source,
        target=target,
        region=region,
        category=EditCategory(record.category),
        instruction_en=record.instruction_en,
        instruction_zh=record.instruction_zh,
        source_caption=record.source_caption,
        target_caption=record.target_caption,
        edit=record.edit,
        parameters=record.parameters,
    )


def read_triplets(folder: Path) -> Iterator[Triplet]:
    """All triplets of a set, decoded, shard by shard."""
    for record, files in read_records(folder):
        yield unpack(record, files)
