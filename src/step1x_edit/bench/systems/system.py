"""What every system provides: one method that edits one case. What went wrong is said with the errors of `bench.calls`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from PIL import Image

from step1x_edit.bench.calls import Refused, Usage
from step1x_edit.bench.gedit import BenchCase
from step1x_edit.errors import ImageError
from step1x_edit.image_io import read_image
from step1x_edit.image_modes import flatten

if TYPE_CHECKING:
    from step1x_edit.editor import Editor


@dataclass(frozen=True)
class Edited:
    """A result: the picture, what it used, and the exact name of the model where the service tells."""

    image: Image.Image
    usage: Usage = field(default_factory=Usage)
    model: str = ""


class System(Protocol):
    """An editing system.

    Attributes:
        name: of its result folder.
        concurrency: how many cases it takes at once, unless the user says otherwise.
        facts: what is needed to run it again, no keys or passwords among it.
    """

    name: str
    concurrency: int
    facts: Mapping[str, Any]

    def edit(self, case: BenchCase, picture: Image.Image, seed: int) -> Edited:
        """Edit the case's picture.

        Raises:
            Refused: this case has no answer.
            Passing: it has none this time.
            Step1XError: no case can be answered.
        """
        ...


@dataclass(frozen=True)
class Settings:
    """What a system may be told.

    Attributes:
        model: the name after the colon: a model, a repository, a folder.
        url: address of the service, where it is not the usual one.
        key: what the service is paid with; never written anywhere.
        timeout: seconds without any of an answer after which an attempt is given up.
        options: passed on to the service or pipeline as they are.
        device: where a local pipeline runs.
        open_editor: opens our own editor, of a model; what is needed to open it again comes with it.
    """

    model: str = ""
    url: str | None = None
    key: str | None = None
    timeout: float = 180.0
    options: Mapping[str, Any] = field(default_factory=dict)
    device: str | None = None
    open_editor: Callable[[str], tuple[Editor, Mapping[str, Any]]] | None = None


def encode_png(picture: Image.Image) -> bytes:
    """A picture as services take it, with transparent parts on white."""
    data = BytesIO()
    flatten(picture).save(data, "PNG", compress_level=4)
    return data.getvalue()


def decode(data: bytes, service: str, used: Usage) -> Image.Image:
    """What a service sent as a picture, and is paid for."""
    try:
        return read_image(data).image
    except ImageError as error:
        raise Refused(f"{service} sent no whole picture", used) from error


def name_folder(text: str) -> str:
    """A model's name as the name of a folder."""
    return "".join(c if c.isalnum() or c in "._-" else "-" for c in Path(text).name if c.isprintable()).strip(".-") or "system"
