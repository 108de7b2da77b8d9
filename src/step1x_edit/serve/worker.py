"""The process that holds the model: takes batches, gives files.

One thread runs the model; others lay what was drawn over the photographs and write the files, while the model goes on with the next batch.
What a client got wrong, or what the device has too little memory for, fails the one task. Anything else is a bug: the process ends, and
the server, which sees that, finds out whose task it was.
"""

from __future__ import annotations

import base64
import logging
import os
import threading
import traceback
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from ctypes import c_uint64
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, ImageOps

from step1x_edit.drawing import explain_failures
from step1x_edit.errors import ImageError, Step1XError, UsageError
from step1x_edit.image_io import encode_image, read_image, resize
from step1x_edit.image_modes import Picture
from step1x_edit.loading import without_collecting
from step1x_edit.serve.filtering import load_filter
from step1x_edit.serve.messages import Batch, Broken, Done, Failed, Free, Message, Opening, Output, Preview, Ready, Task
from step1x_edit.serve.refusals import LEFT, Refusal, code_of
from step1x_edit.types import SMALLEST_SIZE, EditRequest

if TYPE_CHECKING:
    from step1x_edit.drawing import Drawing
    from step1x_edit.editor import Draw, Editor

Asked = tuple[Task, EditRequest, tuple[str, ...]]
"""What came from the server, read, and what there is to say of its pictures."""

UNWANTED = "content_policy_violation"
"""OpenAI's code for what the content filter does not let pass."""

BUG = 70
"""Exit code after a failure that should not happen."""


class Cancelled(Exception):
    """Nobody wants the batch any more."""


def work(connection: Connection, cancelled: c_uint64, opening: Opening) -> None:
    """The life of the process.

    Args:
        connection: batches come in, messages go out.
        cancelled: the batches up to this number need not be finished.
        opening: the model.
    """
    try:
        worker = Worker(connection, cancelled, _open(opening), opening)
    except Step1XError as error:
        connection.send(Broken(str(error)))
        return
    worker.run()


def _open(opening: Opening) -> Editor:
    with without_collecting():
        import torch
        from transformers.utils import logging as transformers_logging

        from step1x_edit.editor import Editor
        from step1x_edit.memory import ALL_ON_DEVICE

        logging.disable(logging.WARNING)
        transformers_logging.disable_progress_bar()
        if opening.threads:
            torch.set_num_threads(opening.threads)
        folder, placement = Path(opening.folder) if opening.folder else None, opening.placement or ALL_ON_DEVICE
        editor = Editor.open(opening.model, opening.device, opening.dtype, folder, placement)
        if opening.adapters:
            editor.use_adapters([(Path(path), weight) for path, weight in opening.adapters])
        _warm_up(editor)
    return editor


def _warm_up(editor: Editor) -> None:
    """A small edit of one step: no client waits for what a device sets up once, and a device that cannot edit says so at the start."""
    picture = Image.new("RGB", (SMALLEST_SIZE, SMALLEST_SIZE))
    next(editor.edit_seeds(EditRequest(picture, "warm up", steps=1, size=SMALLEST_SIZE), [0]))


class Worker:
    """See the module's text; `work` gives the arguments."""

    def __init__(self, connection: Connection, cancelled: c_uint64, editor: Editor, opening: Opening) -> None:
        self._connection = connection
        self._cancelled = cancelled
        self._editor = editor
        self._pixels = opening.pixels
        self._credentials = opening.credentials
        self._filter = load_filter(opening.content_filter) if opening.content_filter else None
        self._pool = ThreadPoolExecutor(opening.finishers)
        self._unfinished: set[Future[None]] = set()
        self._sending = threading.Lock()

    def run(self) -> None:
        """Serve until the server hangs up."""
        preset = self._editor.preset
        form = preset.size, preset.cell, preset.squares
        self._send(Ready(preset.name, *form, preset.steps, preset.guidance, preset.references, preset.text_to_image))
        while True:
            try:
                batch: Batch | None = self._connection.recv()
            except EOFError:  # the server was killed
                break
            if batch is None:
                break
            self._do(batch)
            self._send(Free(batch.number))
            while len(self._unfinished) >= 2 * len(batch.tasks) + 2:  # results are held decoded, so they must not pile up
                wait(self._unfinished, return_when=FIRST_COMPLETED)
        self._pool.shutdown()

    def _do(self, batch: Batch) -> None:
        asked: list[Asked] = []
        for task in batch.tasks:
            try:
                with explain_failures():
                    asked.append((task, *self._read(task)))
            except Step1XError as error:
                self._fail(task, error)
        try:
            self._draw(asked, batch.number)
        except Cancelled:
            for task, _, _ in asked:
                self._send(Failed(task.number, "Nobody waits for it any more.", LEFT, "cancelled"))

    def _read(self, task: Task) -> tuple[EditRequest, tuple[str, ...]]:
        read = [self._decode(each) for each in task.pictures]
        pictures, notes = [each.image for each in read], tuple(dict.fromkeys(note for each in read for note in each.notes))
        mask = None if task.mask is None else self._read_mask(task.mask)
        if self._filter and (reason := self._filter.check_request(task.instruction, task.negative, pictures)):
            raise Refusal(reason, code=UNWANTED)
        request = EditRequest(
            pictures[0] if pictures else None,
            task.instruction,
            seed=task.seed,
            steps=task.steps,
            guidance=task.guidance,
            size=task.size,
            negative=task.negative,
            guidance_limit=task.guidance_limit,
            strength=task.strength,
            mask=mask,
            feather=task.feather,
            zoom=task.zoom,
            references=tuple(pictures[1:]),
            shape=task.shape,
        )
        return request, notes

    def _decode(self, data: bytes) -> Picture:
        picture = read_image(data)
        if picture.image.width * picture.image.height > self._pixels:  # the server has looked at the header already
            raise ImageError(f"The picture has more than {self._pixels / 1e6:g} million pixels; make it smaller first.")
        return picture

    def _read_mask(self, data: bytes) -> Image.Image:
        mask = self._decode(data).image
        if not _is_transparent(mask):
            raise UsageError("The mask has no transparency; make transparent what is to be edited, and send it as PNG or WebP.")
        return ImageOps.invert(mask.getchannel("A"))

    def _draw(self, asked: Sequence[Asked], batch: int) -> None:
        """All in one pass; where that is too much for the device, or one of them is at fault, one after the other."""
        if not asked:
            return
        wanted = [_preview_steps(task, request.steps or self._editor.preset.steps, request.strength) for task, request, _ in asked]

        def stop_if_cancelled(done: int, total: int) -> None:
            if self._cancelled.value >= batch:
                raise Cancelled

        def show(done: int, total: int, draw: Draw) -> None:
            for index, (task, *_) in enumerate(asked):
                if done in wanted[index]:
                    picture = draw(index)
                    if self._filter and self._filter.check_result(picture):
                        continue
                    output = replace(task.output, bounds=None)
                    self._send(Preview(task.number, wanted[index].index(done), to_text(encode(picture, output)), picture.size))

        try:
            drawings = self._editor.draw_batch([request for _, request, _ in asked], stop_if_cancelled, show if any(wanted) else None)
        except Step1XError as error:
            if len(asked) == 1:
                self._fail(asked[0][0], error)
                return
            drawings = []
        if not drawings:  # here the failure is gone, and with it what it held of the device's memory
            for each in asked:
                self._draw([each], batch)
            return
        for (task, _, notes), drawing in zip(asked, drawings, strict=True):
            future = self._pool.submit(self._finish, task, drawing, notes)
            self._unfinished.add(future)
            future.add_done_callback(self._put_away)

    def _finish(self, task: Task, drawing: Drawing, notes: tuple[str, ...]) -> None:
        try:
            with explain_failures():
                result = drawing.finish()
                if self._filter and (reason := self._filter.check_result(result.image)):
                    raise Refusal(reason, code=UNWANTED)
                picture = _bound(result.image, task.output.bounds)
                data = encode(picture, task.output)
                if self._credentials is not None:
                    data = self._credentials.sign(data, task.output.format.upper(), result.request)
        except Step1XError as error:
            self._fail(task, error)
            return
        cell = self._editor.preset.cell**2
        text = len(self._editor.mllm.processor.tokenizer(task.instruction).input_ids)
        shown = sum(each.width * each.height // cell for each in drawing.sheet.reduced)
        drawn = drawing.drawn.shape[-2] * drawing.drawn.shape[-1] // cell
        transparent = _is_transparent(picture) and task.output.format != "jpeg"
        notes += result.notes
        self._send(Done(task.number, to_text(data), picture.size, transparent, text, shown, drawn, result.seconds, notes))

    def _put_away(self, future: Future[None]) -> None:
        self._unfinished.discard(future)
        if error := future.exception():
            traceback.print_exception(error)
            os._exit(BUG)

    def _fail(self, task: Task, error: Step1XError) -> None:
        self._send(Failed(task.number, str(error), error.http_status, code_of(error)))

    def _send(self, message: Message) -> None:
        with self._sending:
            try:
                self._connection.send(message)
            except OSError:  # the server is gone; so is this process, when it next looks for work
                return


def encode(image: Image.Image, output: Output) -> bytes:
    """The picture as a file, with nothing in it but its pixels."""
    if output.format == "png":
        return encode_image(image, "PNG", compress_level=1)  # half the time of a denser one
    quality = 95 if output.compression is None else output.compression
    return encode_image(image, output.format.upper(), quality=quality)


def to_text(data: bytes) -> str:
    """As JSON carries it."""
    return base64.b64encode(data).decode("ascii")


def _is_transparent(image: Image.Image) -> bool:
    """Whether any pixel is, even a little."""
    return image.mode == "RGBA" and image.getchannel("A").getextrema() != (255, 255)


def _bound(image: Image.Image, bounds: tuple[int, int] | None) -> Image.Image:
    """The picture in its own proportions, as large as the bounds allow; None leaves it as it is."""
    if bounds is None:
        return image
    scale = min(bounds[0] / image.width, bounds[1] / image.height)
    return resize(image, (max(1, round(image.width * scale)), max(1, round(image.height * scale))))


def _preview_steps(task: Task, steps: int, strength: float) -> list[int]:
    """After which steps a preview is due, evenly spread and never after the last; fewer where there are not enough steps."""
    total = max(1, round(steps * strength))
    return sorted({round((i + 1) * total / (task.previews + 1)) for i in range(task.previews)} - {0, total})
