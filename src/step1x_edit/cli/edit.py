"""`step1x edit`: edit one picture, or a batch of them, or make one from a text."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from step1x_edit.cli import economy
from step1x_edit.cli.batch import list_jobs, read_batch, sort_words
from step1x_edit.cli.debugging import Debug
from step1x_edit.cli.editing import Task
from step1x_edit.cli.folders import check_version, need_weights
from step1x_edit.cli.inputs import open_credentials, read_likeness, read_lora
from step1x_edit.cli.reading import STREAM, read
from step1x_edit.cli.regions import read_region, read_shape
from step1x_edit.cli.thought import Thought
from step1x_edit.errors import UsageError


def edit(
    pictures: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="IMAGE",
            help="The picture to edit, several, a folder of them, or a JSON file of pictures and instructions; - reads standard input.",
            show_default=False,
        ),
    ] = None,
    instruction: Annotated[
        str | None, typer.Argument(metavar="[INSTRUCTION]", help="What to change, in English or Chinese.", show_default=False)
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="File to write, or folder to write into; by default beside the picture, NAME-edited.png; - is standard output.",
            show_default=False,
        ),
    ] = None,
    like: Annotated[
        Path | None,
        typer.Option("--like", help="An edited picture: do to this one what was done there last; other options win.", show_default=False),
    ] = None,
    model: Annotated[str | None, typer.Option("--model", help="Model to use, mini by default; see step1x models list.")] = None,
    weights: Annotated[
        Path | None, typer.Option("--weights", help="Folder of the model's weights, where they are not in their usual place.")
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Another seed gives another result; 0 by default.")] = None,
    steps: Annotated[int | None, typer.Option("--steps", help="Sampling steps; the model's own number by default.")] = None,
    guidance: Annotated[
        float | None, typer.Option("--guidance", help="Weight of the instruction, 1 for none; the model's own by default.")
    ] = None,
    size: Annotated[
        int | None, typer.Option("--size", help="Side in pixels of the square whose area the model works at; its own by default.")
    ] = None,
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="How many results, with seeds counting up.")] = 1,
    then: Annotated[
        list[str] | None, typer.Option("--then", help="A further instruction for the result; may be repeated.", show_default=False)
    ] = None,
    mask: Annotated[
        Path | None, typer.Option("--mask", help="Picture of the same size; the edit stays where it is white.", show_default=False)
    ] = None,
    box: Annotated[
        str | None, typer.Option("--box", metavar="X,Y,W,H", help="The edit stays in this box of pixels.", show_default=False)
    ] = None,
    feather: Annotated[
        int | None, typer.Option("--feather", help="Pixels over which the edge of the mask or box fades, inside it.", show_default=False)
    ] = None,
    zoom: Annotated[
        bool, typer.Option("--zoom", help="Show the model the mask or box with its surroundings alone, so drawn larger.")
    ] = False,
    reference: Annotated[
        list[Path] | None, typer.Option("--reference", help="A further picture; may be repeated (v1.1, v1.2).", show_default=False)
    ] = None,
    strength: Annotated[
        float | None, typer.Option("--strength", help="How far to go from the picture, 1 by default; under 1 keeps more of it.")
    ] = None,
    refine: Annotated[
        float | None, typer.Option("--refine", help="Strength, as 0.5, of a second, closer pass over what changed.", show_default=False)
    ] = None,
    negative: Annotated[str | None, typer.Option("--negative", help="What guidance leads away from.", show_default=False)] = None,
    guidance_limit: Annotated[
        float | None,
        typer.Option("--guidance-limit", help="Limit guidance above this time, 0 always, 1 never; the model's own by default."),
    ] = None,
    text_to_image: Annotated[
        str | None,
        typer.Option("--text-to-image", metavar="TEXT", help="Make a picture from a text alone (v1.1, v1.2).", show_default=False),
    ] = None,
    shape: Annotated[
        str | None, typer.Option("--shape", metavar="WxH", help="Pixels of a picture made from text alone.", show_default=False)
    ] = None,
    images: Annotated[
        Path | None, typer.Option("--images", help="Folder of a batch's pictures; by default the JSON file's.", show_default=False)
    ] = None,
    lora: Annotated[
        list[str] | None, typer.Option("--lora", metavar="FILE[:WEIGHT]", help="Adapter to use; may be repeated.", show_default=False)
    ] = None,
    lora_apart: Annotated[bool, typer.Option("--lora-apart", help="Keep adapters beside the weights instead of merging them.")] = False,
    think: Annotated[
        bool, typer.Option("--think", help="Let the MLLM say the instruction clearer, judge the result, and try again (v1.2).")
    ] = False,
    thinker: Annotated[
        str | None, typer.Option("--thinker", metavar="URL", help="OpenAI-compatible server that thinks instead.", show_default=False)
    ] = None,
    thinker_model: Annotated[str | None, typer.Option("--thinker-model", help="Name of the model there.", show_default=False)] = None,
    tries: Annotated[int, typer.Option("--tries", min=1, max=10, help="Most tries when thinking.")] = 3,
    device: economy.Device = None,
    dtype: Annotated[str | None, typer.Option("--dtype", help="float32, bfloat16 or float16; what suits the device by default.")] = None,
    vram: economy.Vram = None,
    weights_dtype: economy.WeightsDtype = None,
    offload: economy.Offload = None,
    strips: economy.Strips = False,
    split: economy.Split = False,
    cache: economy.Cache = None,
    guided: economy.Guided = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")] = False,
    strict_size: Annotated[
        str, typer.Option("--strict-size", help="on: the picture's own size, what was not edited untouched; off: what the model drew.")
    ] = "on",
    raw: Annotated[bool, typer.Option("--raw", help="The same as --strict-size off.")] = False,
    settings: Annotated[bool, typer.Option("--settings/--no-settings", help="Keep the settings of the edit in the file.")] = True,
    exif: Annotated[
        bool, typer.Option("--exif/--no-exif", help="Carry over when, where, by whom and with what a photograph was taken.")
    ] = True,
    credentials: Annotated[
        Path | None,
        typer.Option(
            "--credentials", metavar="CERTS.PEM", help="Sign the file as edited by a model (C2PA), with this chain.", show_default=False
        ),
    ] = None,
    credentials_key: Annotated[
        Path | None, typer.Option("--credentials-key", metavar="KEY.PEM", help="Private key of the chain.", show_default=False)
    ] = None,
    compare: Annotated[
        Path | None, typer.Option("--compare", help="Also write a picture of before and after side by side.", show_default=False)
    ] = None,
    debug: Debug = False,
) -> None:
    """Edit a picture by an instruction, or many by one or by a batch file. The path of each result is printed."""
    from step1x_edit.types import EditRequest

    started = time.perf_counter()
    if strict_size not in ("on", "off"):
        raise UsageError(f"--strict-size is on or off, not {strict_size!r}.")
    options: dict[str, Any] = {"seed": seed, "steps": steps, "guidance": guidance, "size": size, "strength": strength}
    options |= {"negative": negative, "guidance_limit": guidance_limit, "refine": refine, "feather": feather, "zoom": zoom or None}
    options = {name: value for name, value in options.items() if value is not None}
    named, instruction = sort_words(pictures or (), instruction)
    image = named[0] if len(named) == 1 and not named[0].is_dir() else None
    batch = image is not None and image.suffix.lower() == ".json"
    if shape is not None and text_to_image is None:
        raise UsageError("--shape is for --text-to-image; a picture that is edited keeps its own shape.")
    if images is not None and not batch:
        raise UsageError("--images is for a batch file; give one in place of the picture, or leave the option out.")
    if thinker_model is not None and thinker is None:
        raise UsageError("--thinker-model names a model of a server; give its address with --thinker.")
    wanted = ""
    if like is not None:
        found = read_likeness(like, masked=mask is not None or box is not None, adapted=bool(lora), accompanied=bool(reference))
        options = {**found.options, **options}
        words = options.pop("instruction")
        model, instruction = model or found.model, instruction or words
        print(f"Like {like}: {instruction}", file=sys.stderr)
        cache, guided = cache or found.cache or None, guided or found.guided or None
        if vram is None:
            weights_dtype = weights_dtype or found.weights_dtype or None
        wanted = found.weights if model == found.model else ""
    if model is not None and weights is not None:
        check_version(model, weights)
    model = model or "mini"
    task = Task(
        model=model,
        weights=weights or need_weights(model),
        device=device,
        dtype=dtype,
        count=count,
        then=tuple(then or ()),
        overwrite=overwrite,
        raw=raw or strict_size == "off",
        adapters=tuple(read_lora(each) for each in lora or ()),
        adapters_apart=lora_apart,
        thought=Thought(thinker, thinker_model, tries) if think or thinker else None,
        settings=settings,
        exif=exif,
        economy=economy.Economy(vram, weights_dtype, offload, strips, split, cache, guided),
        credentials=open_credentials(credentials, credentials_key),
        wanted=wanted,
    )
    if text_to_image is not None:
        if named or images is not None or mask or box or reference:
            raise UsageError("--text-to-image takes no picture, mask or batch; leave them out, or leave the option out.")
        request = EditRequest(None, text_to_image, shape=None if shape is None else read_shape(shape), **options)
        task.one(request, Path("picture.png"), out, compare)
    elif not named:
        raise UsageError("Give a picture and an instruction, a batch file, or --text-to-image.")
    elif out == STREAM and (batch or image is None):
        raise UsageError("Several results cannot go to standard output; give a folder with --out.")
    elif image is not None and batch:
        if instruction is not None or compare or mask or box or reference or then or task.thought:
            raise UsageError("A batch file holds its own instructions and takes no mask, box, reference, turn, thinking or comparison.")
        jobs = read_batch(image, images, out or image.with_name(f"{image.stem}-edited"), count)
        task.many(jobs, options)
    elif instruction is None:
        raise UsageError(f"The instruction is missing: {named[0]} is taken for a picture; after it say what to change, as: make it night.")
    elif image is None:
        if compare or mask or box or reference or task.thought:
            raise UsageError("Several pictures take no mask, box, reference, thinking or comparison; edit those one by one.")
        task.many(list_jobs(named, (instruction, *task.then), out, count), options)
    else:
        picture = read(image)
        references = tuple(read(each).image for each in reference or ())
        region = read_region(mask, box, picture.image.size)
        request = EditRequest(picture.image, instruction, mask=region, references=references, **options)
        task.one(request, image, out, compare, picture)
    print(f"Done in {time.perf_counter() - started:.1f} s.", file=sys.stderr)
