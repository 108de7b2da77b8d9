"""What the server and the processes that hold the model say to each other. Pictures travel as the bytes of files, never decoded."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from step1x_edit.credentials import Credentials
    from step1x_edit.memory import Placement

Format = Literal["png", "jpeg", "webp"]


@dataclass(frozen=True)
class Opening:
    """Which model a process is to hold, and how it works.

    Attributes:
        model, folder, device, dtype: as for `Editor.open`; the folder as text.
        adapters: files of low-rank adapters and how strongly each acts.
        threads: CPU threads that the model computes with; 0 leaves it to PyTorch.
        finishers: threads that lay edits over photographs and write files while the model goes on.
        pixels: most pixels of a picture.
        credentials: who signs the files (C2PA); None leaves them unsigned.
        content_filter: module:name of a `ContentFilter`, see filtering.py; None for none.
        placement: how the model is kept in memory; None for all of it on the device.
    """

    model: str
    folder: str | None = None
    device: str | None = None
    dtype: str | None = None
    adapters: tuple[tuple[str, float], ...] = ()
    threads: int = 0
    finishers: int = 1
    pixels: int = 50_000_000
    credentials: Credentials | None = None
    content_filter: str | None = None
    placement: Placement | None = None


@dataclass(frozen=True)
class Output:
    """The file that is wanted: its format, its quality 0 to 100 (None for the format's usual one), and what its sides must not exceed."""

    format: Format = "png"
    compression: int | None = None
    bounds: tuple[int, int] | None = None


@dataclass(frozen=True)
class Task:
    """One picture to make.

    Attributes:
        number: its own, of this server's run.
        kind: equal for tasks that may be in one batch.
        pixels: of its pictures, as their headers have it.
        pictures: files of the picture to edit and of further ones; empty to make one from text alone.
        mask: file of a mask with OpenAI's meaning: transparent is edited.
        previews: how many pictures of the work in progress are wanted.

    The other attributes are those of `EditRequest`.
    """

    number: int
    kind: Hashable
    pixels: int
    pictures: tuple[bytes, ...]
    instruction: str
    seed: int
    mask: bytes | None = None
    feather: int = 0
    zoom: bool = False
    negative: str = ""
    steps: int | None = None
    guidance: float | None = None
    guidance_limit: float | None = None
    strength: float = 1.0
    size: int | None = None
    shape: tuple[int, int] | None = None
    output: Output = field(default_factory=Output)
    previews: int = 0


@dataclass(frozen=True)
class Batch:
    """Tasks of one kind, to be worked on together; numbers count up."""

    number: int
    tasks: tuple[Task, ...]


@dataclass(frozen=True)
class Ready:
    """The model is loaded. What it can: its name, sizes and defaults, as `Preset` has them."""

    model: str
    size: int
    cell: int
    squares: bool
    steps: int
    guidance: float
    references: int
    text_to_image: bool


@dataclass(frozen=True)
class Broken:
    """The model cannot be loaded, and why."""

    sentence: str


@dataclass(frozen=True)
class Free:
    """The model has done its part for a batch, and can take the next; files may still be being written."""

    batch: int


@dataclass(frozen=True)
class Preview:
    """A picture of the work in progress, base64."""

    task: int
    index: int
    picture: str
    size: tuple[int, int]


@dataclass(frozen=True)
class Done:
    """The file, base64, its width and height, whether parts of it are transparent, the tokens that the model read (text, pictures) and
    drew, seconds by step of the work, and what else there is to say of it."""

    task: int
    picture: str
    size: tuple[int, int]
    transparent: bool
    text_tokens: int
    image_tokens: int
    drawn_tokens: int
    seconds: dict[str, float]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Failed:
    """Why there is no file, in one sentence, with the HTTP status and OpenAI's code that tell whose fault it is."""

    task: int
    sentence: str
    status: int
    code: str


Event = Preview | Done | Failed
"""What is told of one task."""

Message = Ready | Broken | Free | Event
