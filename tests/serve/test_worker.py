"""The process that holds the model, where a batch is too much for the device."""

from __future__ import annotations

import gc
import weakref
from ctypes import c_uint64
from io import BytesIO
from multiprocessing import Pipe
from pathlib import Path
from threading import Thread

import torch
from PIL import Image

from step1x_edit.editor import Editor
from step1x_edit.serve.messages import Batch, Done, Opening, Ready, Task
from step1x_edit.serve.worker import Worker


def test_a_batch_that_had_no_room_leaves_the_device_before_its_edits_are_made_one_by_one(random_mini: Path) -> None:
    editor = Editor.open("mini", "cpu", "float32", random_mini)
    at_work: list[weakref.ref[torch.Tensor]] = []
    left: list[bool] = []

    def watch(_: object, given: tuple[torch.Tensor, ...], made: torch.Tensor) -> None:
        left.append(any(each() is not None for each in at_work))
        at_work.append(weakref.ref(made))
        if len(at_work) == 1:
            raise torch.OutOfMemoryError("no room")

    editor.model.img_in.register_forward_hook(watch)
    file = BytesIO()
    Image.new("RGB", (64, 64), "red").save(file, "PNG")
    tasks = tuple(Task(i, 0, 64 * 64, (file.getvalue(),), "make it night", i, steps=1, guidance=1.0) for i in (1, 2))
    near, far = Pipe()
    gc.disable()  # which might find it by chance
    try:
        thread = Thread(target=Worker(far, c_uint64(0), editor, Opening("mini", str(random_mini))).run)
        thread.start()
        assert isinstance(near.recv(), Ready)
        near.send(Batch(1, tasks))
        near.send(None)
        thread.join(60)
    finally:
        gc.enable()
    assert left == [False, False, False]
    said = [near.recv() for _ in range(3)]
    assert sorted(each.task for each in said if isinstance(each, Done)) == [1, 2]
