"""From a request's fields and files to tasks for the engine, with all that can be checked without decoding a picture."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from PIL import Image

from step1x_edit.errors import ImageError
from step1x_edit.image_io import read_size
from step1x_edit.image_sizes import fit_form
from step1x_edit.serve.addresses import Reader, holds_picture
from step1x_edit.serve.limits import Limits
from step1x_edit.serve.messages import Output, Ready, Task
from step1x_edit.serve.refusals import Refusal
from step1x_edit.serve.schemas import IN_JSON, EditBody, EditWishes, GenerationWishes, W, Wishes, read_wishes
from step1x_edit.serve.uploads import Take, Upload
from step1x_edit.types import EditRequest

IMAGE_FIELDS = ("image", "image[]")
MISSING = f"The picture to edit is missing; send it as the file image, or in JSON as images: [{IN_JSON}]."
TOGETHER = 2
"""The results of a request may together have so many times the pixels of the largest picture: they are held until they are sent."""
Size = tuple[int, int]


@dataclass(frozen=True)
class Order:
    """A request, understood: what is wished, the tasks that make it, when it arrived, and in how many seconds from then it is wanted."""

    wishes: Wishes
    tasks: tuple[Task, ...]
    arrived: float
    seconds: float


@dataclass(frozen=True)
class Clerk:
    """Makes orders of requests.

    Attributes:
        limits: of the server.
        names: under which the model may be asked for.
        reader: of pictures that are given by their address.
        number: gives new tasks their numbers.
    """

    limits: Limits
    names: tuple[str, ...]
    reader: Reader
    number: Callable[[], int]

    async def read_edit(self, upload: Upload, model: Ready, take: Take) -> Order:
        """An edit, as a form or as JSON.

        Raises:
            Busy: `take`, which takes room for what is read from addresses, finds none.
            Refusal, UsageError, ImageError: what is wrong with it.
        """
        arrived = asyncio.get_running_loop().time()
        wishes, given, marked = self._open_form(upload) if upload.files else self._open_json(upload.values)
        self._check(wishes, model)
        if len(given) > model.references:
            few = "one picture" if model.references == 1 else f"{model.references} pictures"
            raise Refusal(f"{model.model} takes {few} in a request, not {len(given)}.", 400, "too_many_images", "image")
        settings, point = _settings(wishes), Image.new("L", (1, 1))
        EditRequest(point, mask=None if marked is None else point, **settings)  # which says in its own words what is wrong
        pictures, mask = await self._fetch(given, marked, take, arrived, self._seconds(wishes))
        sizes = [await self._measure(each, "image") for each in pictures]
        if mask is not None and (size := await self._measure(mask, "mask")) != sizes[0]:
            (width, height), (wide, high) = size, sizes[0]
            sentence = f"The mask is {width} x {height} pixels and the picture {wide} x {high}; make the mask of the picture's size."
            raise Refusal(sentence, 400, "invalid_mask", "mask")
        return self._order(wishes, model, arrived, sizes, settings, tuple(pictures), mask)

    def read_generation(self, upload: Upload, model: Ready) -> Order:
        """A picture from text alone; raises as `read_edit` does."""
        arrived = asyncio.get_running_loop().time()
        wishes = _read_form(GenerationWishes, upload.values, upload.files)
        self._check(wishes, model)
        if not model.text_to_image:
            raise Refusal(f"{model.model} makes no pictures from text alone; use /v1/images/edits.", 400, "unsupported_model", "model")
        shape = wishes.bounds or (model.size, model.size)
        settings = _settings(wishes) | {"shape": shape}
        EditRequest(None, **settings)
        return self._order(wishes, model, arrived, [shape], settings)

    def _open_form(self, upload: Upload) -> tuple[EditWishes, Sequence[bytes | str], bytes | str | None]:
        values, files = dict(upload.values), dict(upload.files)
        _check_files(values)
        pictures = [data for name in IMAGE_FIELDS for data in files.pop(name, ())]
        masks = files.pop("mask", ())
        if len(masks) > 1:
            raise Refusal("There is more than one mask; one is for the first picture.", 400, "invalid_mask", "mask")
        wishes = _read_form(EditWishes, values, files)
        if not pictures:
            raise Refusal(MISSING, 400, "missing_required_parameter", "image")
        return wishes, pictures, masks[0] if masks else None

    def _open_json(self, values: Mapping[str, Any]) -> tuple[EditWishes, Sequence[bytes | str], bytes | str | None]:
        if "images" not in values:
            _check_files(values)
            read_wishes(EditWishes, values)
            raise Refusal(MISSING, 400, "missing_required_parameter", "image")
        body = read_wishes(EditBody, values)
        if len(body.images) > 16:
            raise Refusal(f"There are {len(body.images)} pictures; one request shows at most 16.", 400, "too_many_images", "images")
        return body, [each.image_url for each in body.images], None if body.mask is None else body.mask.image_url

    async def _fetch(
        self, given: Sequence[bytes | str], marked: bytes | str | None, take: Take, arrived: float, seconds: float
    ) -> tuple[list[bytes], bytes | None]:
        """The pictures and the mask, read where addresses are given: in time, and together no more than a request may have."""
        left = self.limits.bytes

        async def read(each: bytes | str) -> bytes:
            nonlocal left
            if isinstance(each, bytes):
                return each
            data = await self.reader.read(each, left)
            left -= len(data)
            return data

        reads = any(isinstance(each, str) and not holds_picture(each) for each in (*given, marked))
        if reads:
            take(left)
        try:
            async with asyncio.timeout_at(arrived + seconds):
                pictures, mask = [await read(each) for each in given], None if marked is None else await read(marked)
        except TimeoutError as error:
            sentence = f"The addresses did not answer within {seconds:g} seconds; send the pictures themselves."
            raise Refusal(sentence, 504, "deadline_exceeded") from error
        if reads:
            take(-left)
        return pictures, mask

    def _seconds(self, wishes: Wishes) -> float:
        return min(wishes.timeout or self.limits.seconds, self.limits.seconds)

    def _check(self, wishes: Wishes, model: Ready) -> None:
        limits = self.limits
        if wishes.model and wishes.model not in self.names:
            raise Refusal(f"There is no model {wishes.model}; this server has {self.names[0]}.", 404, "model_not_found", "model")
        if wishes.n > limits.results:
            raise Refusal(f"n is {wishes.n}; at most {limits.results} results are made at once.", 400, "invalid_value", "n")
        if wishes.steps is not None and wishes.steps > limits.steps:
            raise Refusal(f"steps is {wishes.steps}; at most {limits.steps} are taken.", 400, "invalid_value", "steps")
        if wishes.model_size is not None and wishes.model_size > 2 * model.size:
            sentence = f"model_size is {wishes.model_size}; {model.model} works at {model.size}, and at most at {2 * model.size}."
            raise Refusal(sentence, 400, "invalid_value", "model_size")
        if wishes.bounds and wishes.bounds[0] * wishes.bounds[1] > limits.pixels:
            raise Refusal(f"size is more than {limits.pixels / 1e6:g} million pixels.", 400, "invalid_value", "size")
        if wishes.background == "transparent":
            sentence = "Transparent backgrounds are not made here; leave background out. A picture's own transparency is kept."
            raise Refusal(sentence, 400, "unsupported_value", "background")
        if wishes.seed is not None and wishes.seed + wishes.n > 2**63:
            raise Refusal("The seeds of so many results go beyond 2**63 - 1; choose a smaller seed.", 400, "invalid_value", "seed")

    async def _measure(self, data: bytes, name: str) -> Size:
        try:
            width, height = await asyncio.to_thread(read_size, data)
        except ImageError as error:
            raise Refusal(str(error), 400, "invalid_image", name) from error
        if width * height > self.limits.pixels:
            sentence = f"The {name} is {width} x {height} pixels; at most {self.limits.pixels / 1e6:g} million pixels are taken."
            raise Refusal(sentence, 400, "image_too_large", name)
        return width, height

    def _order(
        self,
        wishes: Wishes,
        model: Ready,
        arrived: float,
        sizes: Sequence[Size],
        settings: Mapping[str, Any],
        pictures: tuple[bytes, ...] = (),
        mask: bytes | None = None,
    ) -> Order:
        """The tasks of a request; `settings` as by `_settings`."""
        (width, height), (wide, high) = sizes[0], wishes.bounds or sizes[0]
        each, most = width * height * min(wide / width, high / height) ** 2, TOGETHER * self.limits.pixels
        if wishes.n * each > most:
            sentence = f"n is {wishes.n}, of {each / 1e6:.3g} million pixels each; all results together may have {most / 1e6:g} million."
            raise Refusal(sentence, 400, "invalid_value", "n")
        area = wishes.model_size or model.size
        drawn = tuple(fit_form(*size, area, model.cell, model.squares).size for size in sizes)
        alike = bool(pictures), drawn, area, wishes.steps, wishes.guidance, wishes.guidance_limit
        make = partial(
            Task,
            kind=(*alike, settings.get("strength"), hash(mask) if settings.get("zoom") else None),  # what is zoomed in on lies in the mask
            pixels=sum(width * height for width, height in sizes),
            pictures=pictures,
            mask=mask,
            output=Output(wishes.output_format, wishes.output_compression, wishes.bounds if pictures else None),
            previews=wishes.partial_images if wishes.stream else 0,
            **settings,
        )
        seed = secrets.randbelow(2**31) if wishes.seed is None else wishes.seed
        tasks = tuple(make(number=self.number(), seed=seed + i) for i in range(wishes.n))
        return Order(wishes, tasks, arrived, self._seconds(wishes))


def _read_form(kind: type[W], values: Mapping[str, Any], files: Iterable[str]) -> W:
    """Read the wishes of a form whose pictures are taken out of `files`, the names of fields that came as files."""
    for name in files:
        if name in kind.model_fields:
            sentence = f"The field {name} came as a file; send it as a text, without a file name."
            raise Refusal(sentence, 400, "invalid_value", name)
    return read_wishes(kind, {**values, **dict.fromkeys(files, "")})


def _check_files(values: Mapping[str, Any]) -> None:
    """Refuse pictures that came as texts."""
    for name in (*IMAGE_FIELDS, "mask"):
        if name in values:
            way = f"mask: {IN_JSON}" if name == "mask" else f"images: [{IN_JSON}]"
            sentence = f"The field {name} is a text; send it as a file, with a file name, or in JSON as {way}."
            raise Refusal(sentence, 400, "invalid_value", name)


def _settings(wishes: Wishes) -> dict[str, Any]:
    """What is wished, by the names of `EditRequest`, but for pictures, shape and seed."""
    alike = wishes.model_dump(include={"negative", "steps", "guidance", "guidance_limit", "strength", "feather", "zoom"})
    return {"instruction": wishes.prompt, "size": wishes.model_size, **alike}
