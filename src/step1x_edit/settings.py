"""The settings of an edit as they travel in the edited file, so that it can be made again: `step1x edit PICTURE --like EDITED`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from step1x_edit import __version__
from step1x_edit.errors import UsageError
from step1x_edit.image_io import open_record
from step1x_edit.image_modes import to_grey
from step1x_edit.image_records import PREFIX
from step1x_edit.types import LONGEST_INSTRUCTION, EditResult

_NUMBERS = {
    "seed": int,
    "steps": int,
    "guidance": float,
    "size": int,
    "strength": float,
    "guidance_limit": float,
    "refine": float,
    "feather": int,
}
"""Of `EditRequest`, by name."""
_TEXTS = ("instruction", "model", "negative", "mask", "cache", "guided", "lora", "weights", "weights_dtype", "zoom", "references")


@dataclass(frozen=True)
class Settings:
    """How an edit was made.

    Attributes:
        options: of `EditRequest`, by name: instruction, negative, zoom, and the numbers.
        model: name of the model.
        mask: SHA-256 of the mask's pixels, or empty where there was none.
        cache, guided: what was left out, see `Shortcuts`; or empty.
        lora: names of the files of adapters, each with its weight, NAME:WEIGHT.
        references: how many further pictures there were, or empty where there were none.
        weights: the fingerprint of the model's weights, or empty where the file does not say it.
        weights_dtype: the type in which they lay, or empty where it was the one that is computed in.
    """

    options: dict[str, Any]
    model: str
    mask: str = ""
    cache: str = ""
    guided: str = ""
    lora: tuple[str, ...] = ()
    weights: str = ""
    weights_dtype: str = ""
    references: str = ""


def describe_edit(result: EditResult) -> dict[str, str]:
    """The record of an edit, for `write_image`."""
    request = result.request
    values: dict[str, Any] = {name: getattr(request, name) for name in ("instruction", *_NUMBERS, "negative")}
    values |= {"model": result.model, "mask": "" if request.mask is None else digest_mask(request.mask)}
    values |= {"references": len(request.references) or "", "feather": request.feather or "", "zoom": "on" if request.zoom else ""}
    values |= result.made_with
    texts = {f"{PREFIX}{name}": str(value) for name, value in values.items() if value not in ("", None)}
    return {"Software": f"step1x-edit {__version__}", **texts}


def digest_mask(mask: Image.Image) -> str:
    """SHA-256 of a mask's size and grey values."""
    return hashlib.sha256(f"{mask.width}x{mask.height}".encode() + to_grey(mask).tobytes()).hexdigest()


def read_settings(path: Path) -> Settings:
    """The settings in an edited picture.

    Raises:
        ImageError: it cannot be opened as a picture.
        UsageError: it holds no settings, or ones that make no sense.
    """
    return parse_settings(open_record(path), str(path))


def parse_settings(record: Mapping[str, str], name: str) -> Settings:
    """The settings of a record; `name` says in errors where it is from. Raises UsageError as `read_settings` does."""
    values = {key.removeprefix(PREFIX): value for key, value in record.items()}
    if not values.get("instruction", "").strip() or not values.get("model"):
        raise UsageError(f"{name} holds no settings of an edit; it was made by something else, or they were left out or stripped.")
    if any(len(values.get(key, "")) > LONGEST_INSTRUCTION for key in _TEXTS):
        raise UsageError(f"The settings in {name} are longer than any edit's; they were not written by step1x.")
    options: dict[str, Any] = {key: values[key] for key in ("instruction", "negative") if key in values}
    for key, kind in _NUMBERS.items():
        if key in values:
            try:
                options[key] = kind(values[key])
            except ValueError as error:
                raise UsageError(f"The setting {key} in {name} is {values[key][:40]!r}, which is no number.") from error
    if values.get("zoom"):
        options["zoom"] = True
    lora = tuple(values.get("lora", "").splitlines())
    texts = {key: values.get(key, "") for key in ("mask", "cache", "guided", "weights", "weights_dtype", "references")}
    return Settings(options, values["model"], lora=lora, **texts)
