"""One exact editing example: a picture, what was asked, and the picture that answers it. What the trainers and the scorers read."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from step1x_edit.types import EditCategory

Pixels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[Any]
"""Float32 arrays; typed loosely, because numpy's and OpenCV's own stubs lose the precision at every step."""

Shape = tuple[int, int]
"""Width and height in pixels."""

_BOXES = ("box", "after")
"""Keys of a draft's parameters under which left, top, right and bottom in pixels stand."""


def fit_shape(size: int, aspect: float) -> Shape:
    """Shape of pictures `aspect` times as wide as high, with the area of a square of `size` pixels: even numbers where it is no square."""
    if aspect == 1:
        return size, size
    root = math.sqrt(aspect)
    return 2 * round(size * root / 2), 2 * round(size / root / 2)


@dataclass(frozen=True)
class Triplet:
    """A source picture, an instruction in two languages, and the exact target.

    Attributes:
        source: uint8 [H, W, 3], sRGB.
        target: uint8 [H, W, 3], sRGB; equal to the source outside `region`.
        region: bool [H, W], where the edit is meant to act; all True for edits of the whole picture.
        category: which of the eleven kinds of edit this is.
        instruction_en: what is asked, in English.
        instruction_zh: the same request, in Chinese.
        source_caption: short English description of the source.
        target_caption: short English description of the target.
        edit: the request in a closed English vocabulary, for example "remove zebra".
        parameters: JSON-able facts, enough to make the triplet again and to credit the pictures it is made of.
    """

    source: Pixels
    target: Pixels
    region: Mask
    category: EditCategory
    instruction_en: str
    instruction_zh: str
    source_caption: str
    target_caption: str
    edit: str
    parameters: dict[str, Any] = field(default_factory=dict)

    def resized(self, shape: Shape) -> Triplet:
        """The triplet at another size, and aspect ratio: squeezed, not cut, so that what is asked for stays in the picture and in place.

        Args:
            shape: width and height.
        """
        if self.source.shape[1::-1] == self.target.shape[1::-1] == shape:
            return self
        region = cv2.resize(self.region.view(np.uint8), shape, interpolation=cv2.INTER_NEAREST).view(np.bool_)
        return replace(self, source=resize_pixels(self.source, shape), target=resize_pixels(self.target, shape), region=region)


def resize_pixels(pixels: Pixels, shape: Shape) -> Pixels:
    """A picture, uint8 [H, W, 3], with another width and height."""
    return cv2.resize(pixels, shape, interpolation=cv2.INTER_AREA).astype(np.uint8)


@dataclass(frozen=True)
class Request:
    """What is asked, before it is put into words: clause templates and the facts that fill them, language by language.

    Attributes:
        clauses: a key of `instructions.CLAUSES`: the family of clauses to choose from.
        en: values for the fields of the English clauses.
        zh: values for the fields of the Chinese clauses.
    """

    clauses: str
    en: dict[str, str] = field(default_factory=dict)
    zh: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Draft:
    """A triplet without its wording, as a category makes it. The fields are those of `Triplet`.

    `touched` is the mask of what was composited, before dilation, or None when the edit acts on the whole picture.
    """

    source: Pixels
    target: Pixels
    touched: Mask | None
    request: Request
    source_caption: str
    target_caption: str
    edit: str
    parameters: dict[str, Any] = field(default_factory=dict)

    def resized(self, shape: Shape) -> Draft:
        """The draft with another width and height, none of them larger than before, and with the boxes of its parameters there.

        A pixel into which anything goes that was touched is touched, so that source and target stay equal everywhere else.
        """
        height, width = self.source.shape[:2]
        if shape == (width, height):
            return self
        touched = self.touched
        if touched is not None:
            touched = cv2.resize(touched.astype(np.float32), shape, interpolation=cv2.INTER_AREA) > 0
        return replace(
            self,
            source=resize_pixels(self.source, shape),
            target=resize_pixels(self.target, shape),
            touched=touched,
            parameters=_scale_boxes(self.parameters, shape[0] / width, shape[1] / height),
        )


def _scale_boxes(parameters: dict[str, Any], across: float, along: float) -> dict[str, Any]:
    """The parameters with every box in them as it is in a picture `across` times as wide and `along` times as high."""

    def scale(key: str, value: Any) -> Any:
        if isinstance(value, dict):
            return {inner: scale(inner, part) for inner, part in value.items()}
        if isinstance(value, list):
            if key in _BOXES:
                return [round(edge * factor) for edge, factor in zip(value, (across, along) * 2, strict=True)]
            return [scale(key, part) for part in value]
        return value

    return {key: scale(key, value) for key, value in parameters.items()}
