"""One person's work on one picture: the turns so far, what is looked at, and the files to take home. What `page.py` shows."""

from __future__ import annotations

import queue
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from step1x_edit.errors import UsageError
from step1x_edit.image_io import write_image
from step1x_edit.image_modes import flatten
from step1x_edit.image_origins import UNKNOWN, Origin
from step1x_edit.settings import describe_edit
from step1x_edit.types import EditRequest, EditResult

if TYPE_CHECKING:
    from step1x_edit.editor import Editor

SHOWN = 1600
"""Longest side in pixels of what the browser is sent to look at; the file to take home has every pixel."""

MOST_TURNS = 16

MOST_KEPT = 4
"""Sessions that are kept for pages that may be loaded again; each may hold as many pictures as it has turns."""

LONGEST_KEY = 64
"""Characters of what tells a tab, or a painting, from others."""

PATIENCE = 0.2
"""Seconds after which an edit that waits for its turn looks whether it is still wanted."""

OF_MASKS = ("zoom", "feather")

BROWSERS_SHOW = frozenset({".avif", ".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp"})
"""Endings of pictures that every browser shows; of others (HEIC, TIFF), most show a broken one."""


@dataclass(frozen=True)
class Turn:
    """A picture on the way: `words` say how it came about, `file` is what may be taken home (None for the picture at the start), and
    `notes` are those of its edit."""

    image: Image.Image
    words: str
    file: Path | None = None
    notes: tuple[str, ...] = ()

    @property
    def shown(self) -> Image.Image:
        """The picture, small enough for a browser; RGB."""
        return reduce(self.image)


@dataclass(frozen=True)
class Session:
    """The turns of a picture; immutable, so that a page whose answer was lost still holds a whole one.

    Attributes:
        turns: from the picture at the start to the last one made.
        at: index of the present one; those after it stay until another is made from here.
        source: file of the picture at the start, where it came from one, or of what is shown of it.
        origin: how the photograph at the start was taken.
        aside: what there was before the picture was taken away.
    """

    turns: tuple[Turn, ...] = ()
    at: int = 0
    source: Path | None = None
    origin: Origin = UNKNOWN
    aside: Session | None = None

    @classmethod
    def begin(cls, image: Image.Image, source: Path | None = None, origin: Origin = UNKNOWN) -> Session:
        """Start with a picture."""
        return cls((Turn(image, "The picture"),), 0, source, origin)

    def set_aside(self) -> Session:
        """Without a picture, but with this one at hand."""
        return Session(aside=self) if self.turns else self

    def take_up(self) -> Session:
        """This one, or where it has no picture, what was set aside."""
        return self if self.turns or self.aside is None else self.aside

    @property
    def present(self) -> Turn:
        """The picture that the next instruction is for."""
        if not self.turns:
            raise UsageError("There is no picture yet; drop one, or choose an example.")
        return self.turns[self.at]

    @property
    def before(self) -> Turn:
        """What the present picture is compared with."""
        return self.turns[max(0, self.at - 1)] if self.turns else self.present

    def add(self, turn: Turn) -> Session:
        """One turn more, after the present one, in place of those that came after it; of very many, the second goes."""
        turns = (*self.turns[: self.at + 1], turn)
        turns = turns if len(turns) <= MOST_TURNS else (turns[0], *turns[2:])
        return replace(self, turns=turns, at=len(turns) - 1)

    def undo(self) -> Session:
        """At the turn before; at the first one there is none."""
        return self.go_to(max(0, self.at - 1))

    def go_to(self, number: int) -> Session:
        """At turn `number`, from 0."""
        return replace(self, at=number)


class Shelf:
    """The last sessions of a few tabs of browsers, so that a page that is loaded again goes on with its own. Their keys are chance."""

    def __init__(self) -> None:
        self._kept: dict[str, Session] = {}
        self._turn = threading.Lock()

    def put(self, key: str, session: Session) -> None:
        """Keep a session, in place of the oldest one of all where there are many; without a key it is nobody's."""
        if not 0 < len(key) <= LONGEST_KEY:
            return
        with self._turn:
            self._kept.pop(key, None)
            self._kept[key] = session
            if len(self._kept) > MOST_KEPT:
                del self._kept[next(iter(self._kept))]

    def get(self, key: str) -> Session:
        """The session of a key; one without a picture where there is none."""
        return self._kept.get(key, Session())


@dataclass(frozen=True)
class Step:
    """How far an edit is: `done` of `total` sampling steps, the picture as the model sees it now, and the seconds so far."""

    done: int
    total: int
    picture: Image.Image
    seconds: float


class Stopped(Exception):
    """The person does not want the edit any more."""


class Desk:
    """One editor, one edit at a time, in a thread of its own, so that its steps can be shown while it goes on."""

    def __init__(self, editor: Editor) -> None:
        self.editor = editor
        self._hand = ThreadPoolExecutor(1, thread_name_prefix="edit")
        self._last: Future[EditResult] | None = None
        self._folder = tempfile.TemporaryDirectory(prefix="step1x-")

    @property
    def folder(self) -> Path:
        """Where the files lie that a browser may fetch."""
        return Path(self._folder.name)

    @property
    def busy(self) -> bool:
        """Whether an edit goes on or waits, so that another one has to wait."""
        return self._last is not None and not self._last.done()

    def close(self) -> None:
        """End, and remove the files that nobody took home."""
        self._hand.shutdown(cancel_futures=True)
        self._folder.cleanup()

    def work(self, session: Session, request: EditRequest, stopped: threading.Event) -> Iterator[Step | Session]:
        """The steps of an edit, then the session with its result.

        Whoever sets `stopped`, or stops iterating, stops the edit at its next step, or at once where it waits for its turn.

        Raises:
            Stopped: it was stopped.
            Step1XError: as `Editor.edit_seeds`.
        """
        steps: queue.Queue[Step | None] = queue.Queue()
        future = self._hand.submit(self._edit, request, steps, stopped)
        future.add_done_callback(lambda _: steps.put(None))
        self._last = future
        try:
            while True:
                if stopped.is_set() and future.cancel():  # its turn has not come yet
                    raise Stopped
                try:
                    step = steps.get(timeout=PATIENCE)
                except queue.Empty:
                    continue
                if step is None:
                    break
                if not stopped.is_set():
                    yield step
        finally:
            stopped.set()
        yield session.add(self._keep(future.result(), session))

    def _edit(self, request: EditRequest, steps: queue.Queue[Step | None], stopped: threading.Event) -> EditResult:
        started = time.perf_counter()

        def preview(done: int, total: int, draw: Callable[[], Image.Image]) -> None:
            if stopped.is_set():
                raise Stopped
            if done < total:  # the last one is the result
                steps.put(Step(done, total, draw(), time.perf_counter() - started))

        if stopped.is_set():
            raise Stopped
        return next(self.editor.edit_seeds(request, [request.seed], preview=preview))

    def _keep(self, result: EditResult, session: Session) -> Turn:
        """Write the result where the browser can fetch it, with its settings and how the photograph was taken inside."""
        file = Path(tempfile.mkdtemp(dir=self.folder)) / f"edited-{session.at + 1}.png"
        write_image(result.image, file, record=describe_edit(result), origin=session.origin)
        return Turn(result.image, result.request.instruction, file, result.notes)


def reduce(image: Image.Image, longest: int = SHOWN) -> Image.Image:
    """A copy of at most `longest` pixels a side, RGB, transparent parts on white."""
    small = image.copy()
    small.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    return flatten(small)


def make_viewable(path: Path, image: Image.Image) -> Path:
    """The file of a picture itself, or where browsers do not show its kind, a copy beside it that they do."""
    if path.suffix.lower() in BROWSERS_SHOW:
        return path
    copy = path.with_name(f"{path.stem}-shown.webp")
    write_image(reduce(image), copy, overwrite=True)
    return copy


def read_mask(layers: Sequence[Image.Image], size: tuple[int, int]) -> Image.Image | None:
    """What was painted on, as a mask of `size`: white where any layer has colour; None where nothing was painted."""
    mask = Image.new("L", size, 0)
    for layer in layers:
        if layer.mode == "RGBA":
            painted = layer.getchannel("A").resize(size, Image.Resampling.BILINEAR).point(lambda alpha: 255 if alpha > 64 else 0)
            mask.paste(255, mask=painted)
    return mask if mask.getbbox() else None


def ask(session: Session, instruction: str, mask: Image.Image | None, values: Mapping[str, Any]) -> EditRequest:
    """The request of the next turn; `values` are of `EditRequest`, where None stands for the model's own. Without a mask, those of one are
    left out.

    Raises:
        UsageError: there is no picture, or a value is out of its range.
    """
    given = {name: value for name, value in values.items() if value is not None and (mask is not None or name not in OF_MASKS)}
    return EditRequest(session.present.image, instruction.strip(), mask=mask, **given)
