"""Detectors of the DETR family through transformers (DETR, RT-DETR, YOLOS): things, faces, or number plates, as they were trained."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from step1x_edit.data.tools.choice import ToolChoice
from step1x_edit.data.tools.protocols import Box, Detection, Face, Plate, ToolCard
from step1x_edit.data.tools.weights import TransformersTool
from step1x_edit.data.triplet import Pixels
from step1x_edit.errors import UsageError

MODEL = "PekingU/rtdetr_v2_r50vd"
"""Of the 80 everyday things of COCO. Faces and plates need a model that was trained on them, so none is chosen for these."""

_THRESHOLD = 0.4


class ObjectDetector(TransformersTool):
    """Boxes with labels and scores. Source: Carion and others, DETR, 2020; Zhao and others, RT-DETR, 2023."""

    own: ClassVar[str | None] = MODEL

    def __init__(self, model: Any, processor: Any, card: ToolCard) -> None:
        super().__init__(model, processor, card)
        self.names: dict[int, str] = {int(index): str(name) for index, name in model.config.id2label.items()}

    @classmethod
    def open(cls, choice: ToolChoice) -> Self:
        from transformers import AutoImageProcessor, AutoModelForObjectDetection

        facts = {"threshold": _THRESHOLD, **({"label": choice.label} if choice.label else {})}
        return cls.load(choice, cls.own, AutoModelForObjectDetection, AutoImageProcessor, **facts)

    def detect(self, picture: Pixels) -> tuple[Detection, ...]:
        """List what is found, the surest first."""
        import torch
        from PIL import Image

        prepared = self.processor(images=Image.fromarray(picture), return_tensors="pt").to(self.model.device, self.model.dtype)
        with torch.inference_mode():
            found = self.model(**prepared)
        (read,) = self.processor.post_process_object_detection(found, threshold=_THRESHOLD, target_sizes=[picture.shape[:2]])
        detections = []
        for edges, score, label in zip(read["boxes"].tolist(), read["scores"].tolist(), read["labels"].tolist(), strict=True):
            box = Box.around(edges, picture.shape)
            if box.width > 0 and box.height > 0:
                detections.append(Detection(box, self.names[label].lower(), round(score, 4)))
        return tuple(sorted(detections, key=lambda item: (-item.score, item.box)))


class LabelDetector(ObjectDetector):
    """The same, for one kind of thing: faces, or number plates; `label` is what the model calls it."""

    settings = (*ObjectDetector.settings, "label")
    own = None
    label = ""

    @classmethod
    def open(cls, choice: ToolChoice) -> Self:
        """Load a model that was trained on them.

        Raises:
            UsageError: no model is named, or it knows no such label.
        """
        tool = super().open(choice)
        known = sorted({name.lower() for name in tool.names.values()})
        if choice.label is None and len(known) > 1:
            raise UsageError(f"The tool {choice.name} needs a label; choose one that {choice.model} knows: {', '.join(known)}.")
        if choice.label is not None and choice.label.lower() not in known:
            raise UsageError(f"{choice.model} knows no {choice.label!r}; choose one of {', '.join(known)}.")
        tool.label = (choice.label or known[0]).lower()
        return tool

    def find_faces(self, picture: Pixels, smallest: float = 0.0) -> tuple[Face, ...]:
        """List what bears the label as faces, the largest first; none narrower than `smallest`, as a share of the shorter side."""
        least = smallest * min(picture.shape[:2])
        faces = [Face(found.box, found.score) for found in self.detect(picture) if found.label == self.label and found.box.width >= least]
        return tuple(sorted(faces, key=lambda face: (-face.box.area, face.box)))

    def find_plates(self, picture: Pixels) -> tuple[Plate, ...]:
        """List what bears the label as number plates, the surest first."""
        return tuple(Plate(found.box, found.score) for found in self.detect(picture) if found.label == self.label)
