"""Which tool plays which role: the registries, and the toolbox that opens each tool when it is first used.

A recipe names tools by role: `segmenter = "sam2"`, or with weights, `segmenter = "sam2:FOLDER"` or `"sam2:REPOSITORY@REVISION"`. Every
role that it does not name is played by the offline tool, which needs no network and no weights to fetch. To add a tool, write a class
with `open(choice)` that follows the role's protocol, and add a row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self, TypeVar

from step1x_edit.data.tools.birefnet import BiRefNet
from step1x_edit.data.tools.centerface import CenterFace
from step1x_edit.data.tools.choice import ToolChoice
from step1x_edit.data.tools.clip import Clip
from step1x_edit.data.tools.composition import Composition
from step1x_edit.data.tools.controlnet import ControlNet
from step1x_edit.data.tools.depth_cues import DepthCues
from step1x_edit.data.tools.depth_model import DepthModel
from step1x_edit.data.tools.dis_flow import DisFlow
from step1x_edit.data.tools.florence2 import Florence2
from step1x_edit.data.tools.flux_fill import FluxFill
from step1x_edit.data.tools.grabcut import GrabCut
from step1x_edit.data.tools.isnet import IsNet
from step1x_edit.data.tools.lama import Lama
from step1x_edit.data.tools.object_detector import LabelDetector, ObjectDetector
from step1x_edit.data.tools.patch_fill import PatchFill
from step1x_edit.data.tools.plates import TextPlates
from step1x_edit.data.tools.protocols import (
    AestheticScorer,
    Captioner,
    ControlledGenerator,
    DepthEstimator,
    Detector,
    FaceDetector,
    FlowEstimator,
    Inpainter,
    Matting,
    PlateDetector,
    Segmenter,
    SimilarityScorer,
    Tagger,
    TextReader,
    Tool,
    ToolCard,
)
from step1x_edit.data.tools.raft import Raft
from step1x_edit.data.tools.rapid_ocr import RapidTextReader
from step1x_edit.data.tools.repaint import Repaint
from step1x_edit.data.tools.sam2 import Sam2
from step1x_edit.data.tools.scores import LayoutSimilarity, PhotographicScorer
from step1x_edit.data.tools.vitmatte import VitMatte
from step1x_edit.errors import UsageError

T = TypeVar("T")
Registry = dict[str, Callable[[ToolChoice], T]]

DETECTORS: Registry[Detector] = {"salient": GrabCut.open, "florence2": Florence2.open, "detr": ObjectDetector.open}
SEGMENTERS: Registry[Segmenter] = {"grabcut": GrabCut.open, "sam2": Sam2.open}
CAPTIONERS: Registry[Captioner] = {"composition": Composition.open, "florence2": Florence2.open}
TAGGERS: Registry[Tagger] = {"composition": Composition.open, "clip": Clip.open}
INPAINTERS: Registry[Inpainter] = {"patchfill": PatchFill.open, "flux-fill": FluxFill.open, "lama": Lama.open}
DEPTHS: Registry[DepthEstimator] = {"cues": DepthCues.open, "depth-anything": DepthModel.open, "zoedepth": DepthModel.open}
GENERATORS: Registry[ControlledGenerator] = {"repaint": Repaint.open, "controlnet": ControlNet.open}
READERS: Registry[TextReader] = {"rapidocr": RapidTextReader.open}
FLOWS: Registry[FlowEstimator] = {"dis": DisFlow.open, "raft": Raft.open}
MATTINGS: Registry[Matting] = {"grabcut": GrabCut.open, "birefnet": BiRefNet.open, "isnet": IsNet.open, "vitmatte": VitMatte.open}
FACES: Registry[FaceDetector] = {"centerface": CenterFace.open, "detr": LabelDetector.open}
PLATES: Registry[PlateDetector] = {"text": TextPlates.open, "detr": LabelDetector.open}
AESTHETICS: Registry[AestheticScorer] = {"photographic": PhotographicScorer.open, "clip": Clip.open}
SIMILARITIES: Registry[SimilarityScorer] = {"layout": LayoutSimilarity.open, "clip": Clip.open}

ROLES: dict[str, Mapping[str, Callable[[ToolChoice], Tool]]] = {
    "detector": DETECTORS,
    "segmenter": SEGMENTERS,
    "captioner": CAPTIONERS,
    "tagger": TAGGERS,
    "inpainter": INPAINTERS,
    "depth": DEPTHS,
    "generator": GENERATORS,
    "reader": READERS,
    "flow": FLOWS,
    "matting": MATTINGS,
    "faces": FACES,
    "plates": PLATES,
    "aesthetics": AESTHETICS,
    "similarity": SIMILARITIES,
}
"""Role, as a recipe writes it -> its tools by name; the first of each is the offline one, which is used where nothing is said."""


def _role(role: str, registry: Registry[T]) -> cached_property[T]:
    """The tool that plays a role in a toolbox."""

    def open_tool(box: Toolbox) -> T:
        choice = box.choices.get(role) or ToolChoice(next(iter(registry)))
        return registry[choice.name](choice)

    return cached_property(open_tool)


@dataclass(frozen=True)
class Toolbox:
    """One tool for each role, opened when first used and kept.

    A toolbox that is pickled for another process takes its choices along and opens its tools there anew.

    Attributes:
        choices: role -> tool; roles that are left out are played by their offline tool.

    Raises:
        UsageError: there is no such role, or no such tool in it.
    """

    choices: Mapping[str, ToolChoice] = field(default_factory=dict)

    detector = _role("detector", DETECTORS)
    segmenter = _role("segmenter", SEGMENTERS)
    captioner = _role("captioner", CAPTIONERS)
    tagger = _role("tagger", TAGGERS)
    inpainter = _role("inpainter", INPAINTERS)
    depth = _role("depth", DEPTHS)
    generator = _role("generator", GENERATORS)
    reader = _role("reader", READERS)
    flow = _role("flow", FLOWS)
    matting = _role("matting", MATTINGS)
    faces = _role("faces", FACES)
    plates = _role("plates", PLATES)
    aesthetics = _role("aesthetics", AESTHETICS)
    similarity = _role("similarity", SIMILARITIES)

    def __post_init__(self) -> None:
        for role, choice in self.choices.items():
            if role not in ROLES:
                raise UsageError(f"There is no tool role {role!r}; use {', '.join(ROLES)}.")
            if choice.name not in ROLES[role]:
                raise UsageError(f"There is no {role} {choice.name!r}; use {', '.join(ROLES[role])}.")

    @classmethod
    def offline(cls) -> Self:
        """The toolbox that needs no network, no GPU and no weights to fetch."""
        return cls()

    def is_offline(self, role: str) -> bool:
        """Whether a role is played by its offline tool."""
        return role not in self.choices or self.choices[role].name == next(iter(ROLES[role]))

    def card(self, role: str) -> ToolCard:
        """The card of the tool that plays a role, which is opened for it."""
        tool: Tool = getattr(self, role)
        return tool.card

    def describe(self, *roles: str) -> dict[str, dict[str, Any]]:
        """JSON-able cards of the tools that play some roles, for a triplet's parameters: role -> name, version, parameters."""
        cards = {role: self.card(role) for role in roles}
        return {role: {"name": card.name, "version": card.version, **card.parameters} for role, card in cards.items()}

    def __getstate__(self) -> dict[str, Any]:
        return {"choices": self.choices}
