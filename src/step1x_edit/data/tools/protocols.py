"""What the paper's data pipeline asks of its tools: one protocol a role, and the small records that travel between them.

A picture is uint8 [H, W, 3], sRGB; a mask bool [H, W]; a matte, a depth or a control map float32 [H, W] in 0..1. Tools are
deterministic: the same picture and arguments give the same answer, and where a model draws random numbers, they come from the `seed`
that it is given. A tool keeps no memory of pictures, so that an answer never depends on what was asked before.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol, Self

from step1x_edit.data.triplet import Floats, Mask, Pixels


class Box(NamedTuple):
    """A rectangle in pixels: `right` and `bottom` are one past the last column and row."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def area(self) -> int:
        return max(self.width, 0) * max(self.height, 0)

    @classmethod
    def around(cls, edges: Iterable[float], shape: tuple[int, ...]) -> Self:
        """The whole pixels that four edges touch, inside a picture of that shape [H, W, ...]; empty, or turned over, outside of it."""
        left, top, right, bottom = edges
        return cls(max(int(left), 0), max(int(top), 0), min(math.ceil(right), shape[1]), min(math.ceil(bottom), shape[0]))

    def is_cut_off(self, shape: tuple[int, ...]) -> bool:
        """Whether it reaches to within a pixel of the border of a picture of that shape [H, W, ...]."""
        return self.left <= 1 or self.top <= 1 or self.right >= shape[1] - 1 or self.bottom >= shape[0] - 1

    def meets(self, other: Box, gap: int = 0) -> bool:
        """Whether the two overlap, or come nearer than so many pixels."""
        across = self.left < other.right + gap and other.left < self.right + gap
        return across and self.top < other.bottom + gap and other.top < self.bottom + gap

    @property
    def within(self) -> tuple[slice, slice]:
        """Its rows and columns, as an index of a picture [H, W, ...] that it lies in: `picture[box.within]`."""
        return slice(self.top, self.bottom), slice(self.left, self.right)


@dataclass(frozen=True)
class ToolCard:
    """What is written down of a tool: enough to take the same one again.

    Attributes:
        name: its name in the registry of its role.
        version: of the method where it is our own, else of the library that runs it.
        parameters: JSON-able settings: the model's repository or folder and revision, thresholds.
    """

    name: str
    version: str
    parameters: dict[str, Any] = field(default_factory=dict)


class Tool(Protocol):
    """What every tool has."""

    @property
    def card(self) -> ToolCard: ...


@dataclass(frozen=True)
class Detection:
    """Something found.

    Attributes:
        box: where.
        label: what it is in a word or two of English; empty where the tool only sees that something stands out.
        score: 0..1, how sure the tool is.
    """

    box: Box
    label: str
    score: float


class Detector(Tool, Protocol):
    """Finds what stands in a picture. Source: paper, Florence-2 in front of SAM-2."""

    def detect(self, picture: Pixels) -> tuple[Detection, ...]:
        """List what is found, the surest first."""
        ...


class Segmenter(Tool, Protocol):
    """Turns a box into the exact region of what fills it. Source: paper, SAM-2."""

    def segment(self, picture: Pixels, box: Box) -> Mask:
        """Mark the pixels of the thing in the box: bool [H, W], all False where nothing was found."""
        ...


class Captioner(Tool, Protocol):
    """Says in English what a picture shows. Source: paper, Florence-2 and Qwen2.5-VL."""

    def caption(self, picture: Pixels) -> str:
        """Describe the picture in one sentence, without a full stop."""
        ...


@dataclass(frozen=True)
class Tag:
    """A word for something in the picture, with a score of 0..1."""

    word: str
    score: float


class Tagger(Tool, Protocol):
    """Lists words that fit a picture. Source: paper, Recognize-Anything."""

    def tag(self, picture: Pixels) -> tuple[Tag, ...]:
        """List what the picture shows, the surest first."""
        ...


class Inpainter(Tool, Protocol):
    """Fills a hole so that nobody sees that something stood there, or fills it with what is asked. Source: paper, FLUX-Fill."""

    @property
    def reads_prompts(self) -> bool:
        """Whether it draws what a prompt asks for."""
        ...

    def inpaint(self, picture: Pixels, hole: Mask, prompt: str = "", seed: int = 0) -> Pixels:
        """Fill the hole.

        Args:
            picture: uint8 [H, W, 3].
            hole: what is to be filled; everything else comes back to the last bit.
            prompt: what should be there, in English; empty means whatever fits. Tools that read no words leave it aside.
            seed: where random numbers come from.

        Returns:
            uint8 [H, W, 3].
        """
        ...


class DepthEstimator(Tool, Protocol):
    """Says how near each pixel is. Source: paper, ZoeDepth."""

    def estimate(self, picture: Pixels) -> Floats:
        """Nearness: float32 [H, W], 1 for the nearest pixel and 0 for the farthest, as depth ControlNets are given it."""
        ...


Control = Literal["depth", "edges"]
LookKind = Literal["colour", "material", "style"]

CONTROLS: dict[LookKind, Control] = {"colour": "depth", "material": "depth", "style": "edges"}
"""Kind of look -> the control map that its shape is held by: depth for surfaces, edges for styles. Source: paper."""


@dataclass(frozen=True)
class Look:
    """What a controlled generator is asked for: a kind and a name that everyone understands, and a prompt for those that read.

    Attributes:
        kind: "colour" (a name of `colours.COLOURS`), "material" (of `MATERIALS`) or "style" (of `STYLES`).
        name: which one.
        prompt: the same in English words for a text-to-image model.
    """

    kind: LookKind
    name: str
    prompt: str


class ControlledGenerator(Tool, Protocol):
    """Draws a region anew with the shape that a control map holds. Source: paper, ControlNet on SD3.5."""

    def generate(self, picture: Pixels, region: Mask, control: Floats, look: Look, seed: int = 0) -> Pixels:
        """Give the region the look; everything else comes back to the last bit.

        Args:
            picture: uint8 [H, W, 3].
            region: where.
            control: float32 [H, W], depth (near is 1) or edges (an edge is 1), as `CONTROLS` says.
            look: what it should become.
            seed: where random numbers come from.
        """
        ...


@dataclass(frozen=True)
class TextLine:
    """A line of text in a picture.

    Attributes:
        box: upright rectangle around it.
        text: what it says, without leading and trailing blanks; never empty.
        confidence: 0..1.
        corners: the four corners, clockwise from the top left of the text, in pixels (x, y): where it leans, the box is larger than it.
    """

    box: Box
    text: str
    confidence: float
    corners: tuple[tuple[float, float], ...] = ()

    @property
    def outline(self) -> tuple[tuple[float, float], ...]:
        """The corners, or those of the box where the tool gives none."""
        left, top, right, bottom = self.box
        return self.corners or ((left, top), (right, top), (right, bottom), (left, bottom))


class TextReader(Tool, Protocol):
    """Reads text. Source: paper, PP-OCR."""

    def read(self, picture: Pixels) -> tuple[TextLine, ...]:
        """List the lines of text from top to bottom."""
        ...


class FlowEstimator(Tool, Protocol):
    """Says where each pixel goes from one frame to the next. Source: paper, RAFT."""

    def flow(self, first: Pixels, second: Pixels) -> Floats:
        """Motion: float32 [H, W, 2], pixels to the right and downwards; the frames are of one size."""
        ...


class Matting(Tool, Protocol):
    """Separates the foreground from the background. Source: paper, BiRefNet."""

    def matte(self, picture: Pixels, box: Box | None = None) -> Floats:
        """Opacity of the foreground: float32 [H, W] in 0..1, soft at its border; all 0 where there is none.

        Args:
            picture: uint8 [H, W, 3].
            box: where the foreground is, for tools that can be told; None leaves it to the tool.
        """
        ...


@dataclass(frozen=True)
class Face:
    """A face.

    Attributes:
        box: around it, from the brow to the chin.
        score: 0..1.
        landmarks: (x, y) in pixels of the right eye, left eye, nose, right and left corner of the mouth; empty where the tool gives none.
    """

    box: Box
    score: float
    landmarks: tuple[tuple[float, float], ...] = ()


class FaceDetector(Tool, Protocol):
    """Finds faces. Source: paper, portrait editing."""

    def find_faces(self, picture: Pixels, smallest: float = 0.0) -> tuple[Face, ...]:
        """List the faces, the largest first; those narrower than `smallest`, as a share of the shorter side, need not be found."""
        ...


@dataclass(frozen=True)
class Plate:
    """A number plate of a vehicle; `text` is what it says where the tool reads it."""

    box: Box
    score: float
    text: str = ""


class PlateDetector(Tool, Protocol):
    """Finds number plates of vehicles."""

    def find_plates(self, picture: Pixels) -> tuple[Plate, ...]:
        """List the plates, the surest first."""
        ...


class AestheticScorer(Tool, Protocol):
    """Says how good a picture looks."""

    def score(self, picture: Pixels) -> float:
        """Score 0..1, larger is better; only differences between answers of the same tool mean anything."""
        ...


class SimilarityScorer(Tool, Protocol):
    """Turns pictures into vectors of length 1 whose product says how alike they are."""

    def embed(self, picture: Pixels) -> Floats:
        """float32 [D], of length 1."""
        ...
