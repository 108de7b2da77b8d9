"""Florence-2 through transformers: finds what has a name, and describes pictures. The paper's detector and captioner."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from step1x_edit.data.tools.choice import ToolChoice
from step1x_edit.data.tools.protocols import Box, Detection
from step1x_edit.data.tools.weights import TransformersTool
from step1x_edit.data.triplet import Pixels

MODEL = "florence-community/Florence-2-large"
"""The weights in the layout of transformers' own class; those of the first publication need code from their repository."""

_BEAMS = 3
_LONGEST = {"<CAPTION>": 128, "<OD>": 1024}
"""Tokens of an answer, by task."""


class Florence2(TransformersTool):
    """One sequence model for every task: a task's name in, words and quantised places out.

    It gives no scores: what it finds counts as sure, in the order of its answer.

    Source: Xiao and others, Florence-2: Advancing a Unified Representation for a Variety of Vision Tasks, 2023.
    """

    @classmethod
    def open(cls, choice: ToolChoice) -> Self:
        from transformers import AutoProcessor, Florence2ForConditionalGeneration

        return cls.load(choice, MODEL, Florence2ForConditionalGeneration, AutoProcessor, beams=_BEAMS)

    def detect(self, picture: Pixels) -> tuple[Detection, ...]:
        """List whatever has a name."""
        return read_boxes(self._answer(picture, "<OD>"), picture.shape[1], picture.shape[0])

    def caption(self, picture: Pixels) -> str:
        """Describe the picture in one sentence, without a full stop."""
        words = str(self._answer(picture, "<CAPTION>")).replace("<pad>", "").strip().rstrip(".")
        first, _, rest = words.partition(" ")
        return f"{first.lower()} {rest}" if first in ("A", "An", "The") else words

    def _answer(self, picture: Pixels, task: str) -> Any:
        import torch
        from PIL import Image

        prepared = self.processor(text=task, images=Image.fromarray(picture), return_tensors="pt")
        prepared = prepared.to(self.model.device, self.model.dtype)
        with torch.inference_mode():
            tokens = self.model.generate(**prepared, max_new_tokens=_LONGEST[task], num_beams=_BEAMS, do_sample=False)
        words = self.processor.batch_decode(tokens, skip_special_tokens=False)[0]
        return self.processor.post_process_generation(text=words, task=task, image_size=picture.shape[1::-1])[task]


def read_boxes(answer: Mapping[str, Any], width: int, height: int) -> tuple[Detection, ...]:
    """What the library read out of an answer, boxes and labels, as detections inside the picture; the same box and label only once."""
    found: dict[tuple[Box, str], Detection] = {}
    for edges, label in zip(answer["bboxes"], answer["labels"], strict=True):
        box = Box.around(edges, (height, width))
        name = str(label).strip().rstrip(".").lower()
        if box.width > 0 and box.height > 0:
            found.setdefault((box, name), Detection(box, name, 1.0))
    return tuple(found.values())
