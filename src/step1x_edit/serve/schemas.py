"""The fields of requests and answers: OpenAI's, and beside them those of `EditRequest`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from step1x_edit.serve.messages import Format
from step1x_edit.serve.refusals import Refusal
from step1x_edit.types import LARGEST_SIZE, SMALLEST_SIZE, WIDEST_FEATHER

SIZE = r"^(auto|[1-9][0-9]{0,4}x[1-9][0-9]{0,4})$"

IN_JSON = '{"image_url": "data:image/png;base64,..."}'
"""How a request in JSON holds a picture, or a mask."""

Ignored = Annotated[str | None, Field(max_length=512, description="Accepted, and without effect.")]


class Wishes(BaseModel):
    """What edits and generations have in common."""

    model_config = ConfigDict(extra="forbid")

    prompt: str = Field(description="The instruction, in English or Chinese.")
    model: str | None = Field(None, max_length=256, description="As /v1/models names it.")
    n: int = Field(1, ge=1, description="How many results, with seeds counting up.")
    size: Annotated[str, StringConstraints(pattern=SIZE)] = Field(
        "auto", description="auto for the picture's own size, or WIDTHxHEIGHT, into which the result is fitted in its own proportions."
    )
    response_format: Literal["b64_json", "url"] = Field("b64_json", description="url gives a data: address; nothing is kept to be fetched.")
    output_format: Format = "png"
    output_compression: int | None = Field(None, ge=0, le=100, description="Quality of jpeg and webp.")
    background: Literal["auto", "opaque", "transparent"] = Field("auto", description="transparent is refused: no model here makes it.")
    stream: bool = False
    partial_images: int = Field(
        0, ge=0, le=3, description="Pictures of the work in progress, when streaming; fewer where there are few steps."
    )

    seed: int | None = Field(None, ge=0, lt=2**63, description="Fixes the result; by default another one each time, told in the answer.")
    steps: int | None = Field(None, ge=1, description="Sampling steps; the model's own number by default.")
    guidance: float | None = Field(None, ge=0, le=100, description="Weight of the instruction; the model's own by default.")
    guidance_limit: float | None = Field(None, ge=0, le=1, description="Guidance is limited above this time; the model's own by default.")
    negative: str = Field("", description="What guidance leads away from.")
    model_size: int | None = Field(
        None, ge=SMALLEST_SIZE, le=LARGEST_SIZE, description="Side of the square whose area the model works at; its own by default."
    )
    timeout: float | None = Field(None, gt=0, description="Seconds until which the answer is wanted; the server's limit by default.")

    quality: Ignored = None
    moderation: Ignored = None
    user: Ignored = None
    safety_identifier: Ignored = None

    @property
    def bounds(self) -> tuple[int, int] | None:
        """Width and height of `size`; None for auto."""
        found = re.fullmatch(r"(\d+)x(\d+)", self.size)
        return (int(found[1]), int(found[2])) if found else None


class EditWishes(Wishes):
    """The fields of an edit, but for its pictures and mask."""

    strength: float = Field(1.0, gt=0, le=1, description="How far to go from the picture; less keeps more of it.")
    feather: int = Field(0, ge=0, le=WIDEST_FEATHER, description="Pixels over which the edge of the mask fades, inside it.")
    zoom: bool = Field(False, description="Show the model the mask with its surroundings alone, so that it is drawn larger.")
    input_fidelity: Ignored = None


class GenerationWishes(Wishes):
    """The fields of a picture from text alone."""

    style: Ignored = None


class Reference(BaseModel):
    """A picture in JSON."""

    model_config = ConfigDict(extra="forbid")

    image_url: str = Field(description="data:image/png;base64,... or, from hosts that the server allows, https://...")


class EditBody(EditWishes):
    """An edit as JSON."""

    images: list[Reference] = Field(min_length=1)
    mask: Reference | None = None


class EditForm(EditWishes):
    """An edit as a form; several pictures come as `image[]`."""

    image: Annotated[bytes, Field(json_schema_extra={"type": "string", "contentMediaType": "image/*"})]
    mask: Annotated[
        bytes | None,
        Field(
            None,
            description="Of the picture's size; what is transparent in it is edited.",
            json_schema_extra={"contentMediaType": "image/*"},
        ),
    ] = None


class Usage(BaseModel):
    """What the model read and drew, in its own tokens."""

    class Details(BaseModel):
        text_tokens: int
        image_tokens: int

    input_tokens: int
    input_tokens_details: Details
    output_tokens: int
    total_tokens: int

    @classmethod
    def of(cls, text: int, image: int, drawn: int) -> Usage:
        """From the three counts."""
        details = cls.Details(text_tokens=text, image_tokens=image)
        return cls(input_tokens=text + image, input_tokens_details=details, output_tokens=drawn, total_tokens=text + image + drawn)


class Picture(BaseModel):
    """One result."""

    b64_json: str | None = None
    url: str | None = None
    seed: int
    notes: list[str] = Field(default=[], description="What else there is to say of how it was made, and from what, a sentence each.")


class Pictures(BaseModel):
    """The answer to an edit or a generation."""

    created: int
    data: list[Picture]
    model: str
    output_format: Format
    size: str
    background: Literal["opaque", "transparent"]
    usage: Usage
    seconds: dict[str, float] = Field(description="By step of the work, of the first result.")


class ModelEntry(BaseModel):
    """A model that is served."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "step1x-edit"


class ModelList(BaseModel):
    """All of them."""

    object: Literal["list"] = "list"
    data: list[ModelEntry]


class ErrorBody(BaseModel):
    """OpenAI's record of an error."""

    class Error(BaseModel):
        message: str
        type: str
        param: str | None
        code: str | None

    error: Error


W = TypeVar("W", bound=BaseModel)


def read_wishes(kind: type[W], values: Mapping[str, Any]) -> W:
    """Values of a request, checked; null counts as left out, which is how OpenAI's own client sends what is optional.

    Raises:
        Refusal: the first thing that is wrong, in one sentence.
    """
    try:
        return kind.model_validate({name: value for name, value in values.items() if value is not None})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = ".".join(str(part) for part in first["loc"])[:100]
        match first["type"]:
            case "missing":
                raise Refusal(f"The field {name} is missing.", 400, "missing_required_parameter", name) from error
            case "extra_forbidden":
                raise Refusal(f"There is no field {name}; leave it out.", 400, "unknown_parameter", name) from error
            case "string_pattern_mismatch":
                reason = "give auto, or WIDTHxHEIGHT, as 1024x768"
            case "model_type":
                reason = f"give it as {IN_JSON}"
            case _:
                reason = first["msg"].lower()
        raise Refusal(f"The field {name} is wrong: {reason}.", 400, "invalid_value", name) from error
