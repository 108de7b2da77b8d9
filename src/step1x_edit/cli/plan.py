"""`step1x models plan`: which settings let a model edit on a device of some memory, counted before anything is fetched or loaded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from step1x_edit.cli.debugging import Debug
from step1x_edit.cli.folders import find_version, find_weights
from step1x_edit.cli.libraries import loading
from step1x_edit.errors import UsageError

if TYPE_CHECKING:
    from step1x_edit.memory import Plan


def plan(
    model: Annotated[str, typer.Argument(help="The model; see step1x models list.")],
    size: Annotated[
        int | None, typer.Option("--size", min=64, max=4096, help="Side in pixels of the square that is worked at; its own by default.")
    ] = None,
    vram: Annotated[float | None, typer.Option("--vram", min=0.1, help="Memory of the device in GiB.", show_default=False)] = None,
    ram: Annotated[
        float | None, typer.Option("--ram", min=0.1, help="Main memory in GiB; that of this machine by default.", show_default=False)
    ] = None,
    references: Annotated[int, typer.Option("--references", min=0, max=4, help="Pictures in one request; 0 from text alone.")] = 1,
    dtype: Annotated[str, typer.Option("--dtype", help="Type that is computed in: bfloat16, float16 or float32.")] = "bfloat16",
    debug: Debug = False,
) -> None:
    """Print what an edit needs in each way of keeping the model, and which ways fit."""
    from rich.console import Console
    from rich.table import Table

    with loading():
        from step1x_edit.devices import main_memory
        from step1x_edit.memory import GIB, MAIN_RESERVE, RESERVE

        counted = make_plan(model, size, dtype, references)
    tokens = counted.tokens
    weights = ", ".join(f"{part} {number / 1e9:.3g}" for part, number in counted.parameters.items())
    print(f"{model} at size {counted.size}. Weights, in billions: {weights}.")
    print(
        f"{tokens.all} tokens ({tokens.text} text, {tokens.noisy.tokens} noisy, {tokens.reference} of pictures); "
        f"{counted.flops / 1e12:.1f} TFLOP a step."
    )
    table = Table(
        "weights", "offload", "reading", "pictures", "sampling", "main memory", "", caption="GiB on the device, by stage of an edit"
    )
    main = main_memory() if ram is None else ram * GIB
    taken = None if vram is None else next(counted.fitting(vram * GIB, main_bytes=main), None)
    for need in counted.each(None if vram is None else vram * GIB):
        cells = [f"{each / GIB:.3g}" for each in (*need.stages.values(), need.main)]
        extra = [name for name, on in (("strips", need.placement.strips), ("split", need.placement.split)) if on]
        word = "taken" if taken is not None and need.placement == taken.placement else "fits"
        fits = "" if vram is None else " ".join([word, *extra]) if need.fits(vram * GIB, main) else "-"
        table.add_row(need.placement.weights, need.placement.offload, *cells, fits)
    Console().print(table)
    if vram is not None:
        best = counted.best(vram * GIB, main_bytes=main).placement.spell()
        left = f"{RESERVE:.0%} is left to the driver, {MAIN_RESERVE:.0%} of {main / GIB:.3g} GiB of main memory to the system"
        print(f"step1x edit --model {model} --vram {vram:g} takes: {best}. {left}.")


def make_plan(
    model: str,
    size: int | None,
    dtype: str,
    references: int = 1,
    guidance: float | None = None,
    folder: Path | None = None,
    cached: bool = False,
    previews: bool = False,
) -> Plan:
    """The plan of a model by name; its own sizes where it is here, or in the folder that is given. The rest as for `memory.Plan`.

    Raises:
        UsageError: there is no such model or type.
    """
    import torch

    from step1x_edit.devices import choose_dtype
    from step1x_edit.memory import Plan
    from step1x_edit.model.presets import PRESETS
    from step1x_edit.model.weights import find_mllm, load_preset

    version = find_version(model)
    if version not in PRESETS:
        raise UsageError(f"There is no model {model!r}; choose one of {', '.join(PRESETS)}.")
    preset, config, folder = PRESETS[version], None, folder or find_weights(model)
    if folder is not None:
        from transformers import Qwen2_5_VLConfig

        preset, found = load_preset(folder, preset), find_mllm(folder)
        config = Qwen2_5_VLConfig.from_pretrained(found[0], local_files_only=True) if found else None
    with_guidance = (preset.guidance if guidance is None else guidance) != 1
    number = choose_dtype(dtype, torch.device("cuda"))
    return Plan(preset, size or preset.size, number, references, with_guidance, config, cached, previews)
