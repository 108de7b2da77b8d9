"""Our transformer against diffusers' FluxTransformer2DModel with the same weights on the same tokens, as ratios in one run.

    python benchmarks/transformer.py                  # forward pass and guided loop, float32 and bfloat16
    python benchmarks/transformer.py --options        # each shortcut on the embedded model: speed, and PSNR against the full run
    python benchmarks/transformer.py --narrow         # the same of weights of one byte and of half of one

Seconds are those of the processor, so that a busy machine disturbs little, or with --wall those of the clock, for an idle one and all of
its threads; the two take turns, and the best of each counts.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
INSTRUCTIONS = ("make it night", "turn it into a black and white photo", "make it winter")
SHORTCUTS = ("every:2", "every:3", "every:4", "every:5", "every:6", "first-block:0.05", "first-block:0.1", "first-block:0.2",
             "accumulated:0.1", "accumulated:0.2", "accumulated:0.4", "guided 0,0.9", "guided 0.3,1", "steps 14", "steps 8")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--options", action="store_true", help="measure the shortcuts instead")
    parser.add_argument("--narrow", action="store_true", help="measure narrow weights instead")
    parser.add_argument("--steps", type=int, default=2, help="of the loop; with --options and --narrow of each edit (28 there)")
    parser.add_argument("--guidance", type=float, default=2.0, help="with --options and --narrow")
    parser.add_argument("--size", type=int, default=128, help="with --options and --narrow")
    parser.add_argument("--photographs", type=int, default=6, help="with --options and --narrow: how many")
    parser.add_argument("--side", type=int, default=32, help="rows and columns of tokens")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--wall", action="store_true", help="take the clock's seconds")
    parser.add_argument("--dtypes", nargs="*", default=["float32", "bfloat16"])
    arguments = parser.parse_args()
    if arguments.options or arguments.narrow:
        options = ("weights int8", "weights float8", "weights int4") if arguments.narrow else SHORTCUTS
        steps = 28 if arguments.steps == 2 else arguments.steps
        measure_options(options, steps, arguments.guidance, arguments.size, arguments.photographs)
    else:
        compare(
            arguments.steps, arguments.side, arguments.repeats, arguments.dtypes, time.perf_counter if arguments.wall else time.process_time
        )


def compare(steps: int, side: int, repeats: int, dtypes: list[str], clock: Callable[[], float]) -> None:
    """Hidden size 512, 4 + 8 blocks, 128 text tokens, two rows."""
    import torch
    from diffusers import FluxTransformer2DModel

    from step1x_edit.flow.sampler import sample
    from step1x_edit.flow.schedule import schedule
    from step1x_edit.model.dit import DiT
    from step1x_edit.model.layers import Rope
    from step1x_edit.model.presets import DiTConfig
    from step1x_edit.model.records import Context

    torch.set_grad_enabled(False)
    torch.manual_seed(0)
    config = DiTConfig(hidden_size=512, num_heads=4, depth=4, depth_single_blocks=8, context_in_dim=512, vec_in_dim=256)
    ours = DiT(config).eval()
    for parameter in ours.parameters():
        torch.nn.init.normal_(parameter, std=0.03)
    theirs = FluxTransformer2DModel(
        num_layers=4,
        num_single_layers=8,
        attention_head_dim=128,
        num_attention_heads=4,
        joint_attention_dim=512,
        pooled_projection_dim=256,
        axes_dims_rope=(16, 56, 56),
    ).eval()
    theirs.load_state_dict(_their_names(ours.state_dict()))

    count = side * side
    noisy, reference = torch.randn(1, count, 64), torch.randn(1, count, 64)
    words, vector, text_ids = torch.randn(2, 128, 512), torch.randn(2, 256), torch.zeros(128, 3)
    places = torch.stack(torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij"), -1).reshape(-1, 2)
    kinds = [torch.nn.functional.pad(places, (1, 0), value=kind) for kind in (0, 1)]
    picture_ids = torch.cat(kinds).float()
    rope = Rope.of(torch.cat([text_ids, picture_ids])[None], config.axes_dim, config.theta)
    exact: dict[str, torch.Tensor] = {}
    print("| what | diffusers, s | ours, s | ratio | their error | our error |\n|---|---|---|---|---|---|")

    def measure(dtype: torch.dtype) -> None:
        ours.to(dtype), theirs.to(dtype)
        beside, texts, vectors = reference.to(dtype), words.to(dtype), vector.to(dtype)

        def run_ours(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
            rows = []  # one after the other, as the editor does on CPUs
            for i in range(len(x)):
                context = Context(texts[i : i + 1], vectors[i : i + 1])
                rows.append(ours.decode(x[i : i + 1].to(dtype), beside, context, t[i : i + 1], rope, wanted=count))
            return torch.cat(rows).float()

        def run_theirs(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
            both = torch.cat([x.to(dtype), beside.expand(len(x), -1, -1)], dim=1)
            answer = theirs(
                hidden_states=both,
                encoder_hidden_states=texts,
                pooled_projections=vectors,
                timestep=t,
                img_ids=picture_ids,
                txt_ids=text_ids,
                return_dict=False,
            )
            return answer[0][:, :count].float()

        pair, t = noisy.expand(2, -1, -1), torch.full((2,), 0.7)
        times = schedule(steps, 1.0)
        works: dict[str, Callable[[Callable[..., torch.Tensor]], torch.Tensor]] = {
            "forward": lambda run: run(pair, t),
            f"loop of {steps}": lambda run: sample(run, noisy, times, guidance=6.0),
        }
        for name, work in works.items():
            seconds, results = _take_turns({"theirs": lambda w=work: w(run_theirs), "ours": lambda w=work: w(run_ours)}, repeats, clock)
            reference_result = exact.setdefault(name, results["theirs"])
            errors = [float((results[who] - reference_result).std() / reference_result.std()) for who in ("theirs", "ours")]
            kind = str(dtype).removeprefix("torch.")
            ratio = seconds["theirs"] / seconds["ours"]
            print(
                f"| {name}, {kind} | {seconds['theirs']:.2f} | {seconds['ours']:.2f} | {ratio:.2f} | {errors[0]:.1e} | {errors[1]:.1e} |",
                flush=True,
            )

    for name in dtypes:
        measure(getattr(torch, name))


def measure_options(options: Sequence[str], steps: int, guidance: float, size: int, count: int) -> None:
    """Options on the embedded model with guidance, over the first photographs; seconds are those of sampling."""
    import numpy as np
    from PIL import Image

    from step1x_edit import Editor, EditRequest
    from step1x_edit.memory import Placement
    from step1x_edit.model.caching import Shortcuts

    photographs = [Image.open(path) for path in sorted((ROOT / "examples/photos").glob("*.jpg"))[:count]]
    print("| option | times as fast | mean PSNR, dB | worst, dB |\n|---|---|---|---|")
    exact: list[np.ndarray] = []
    base = 0.0
    for option in ("", *options):
        kind, _, value = option.partition(" ")
        placement = Placement(value if kind == "weights" else "full")
        editor = Editor.open("mini", device="cpu", dtype="float32", placement=placement)
        editor.shortcuts = Shortcuts.read(option if kind and not value else None, value if kind == "guided" else None)
        drawn, seconds = [], 0.0
        for i, photograph in enumerate(photographs):
            told: list[float] = []
            request = EditRequest(
                photograph,
                INSTRUCTIONS[i % len(INSTRUCTIONS)],
                steps=int(value) if kind == "steps" else steps,
                guidance=guidance,
                size=size,
            )
            results = editor.edit_seeds(request, [0, 1], lambda *_, told=told: told.append(time.process_time()))
            next(results)  # which reads picture and instruction too
            begin = time.process_time()
            result = next(results)
            seconds += told[-1] - begin
            drawn.append(np.asarray(result.raw).astype(float))
        if not option:
            exact, base = drawn, seconds
            continue
        errors = [float(np.square(a - b).mean()) for a, b in zip(drawn, exact, strict=True)]
        decibels = [99.0 if error == 0 else 10 * math.log10(255**2 / error) for error in errors]
        print(f"| {option} | {base / seconds:.2f} | {np.mean(decibels):.1f} | {min(decibels):.1f} |", flush=True)


def _their_names(weights: dict) -> dict:
    """The DiT's weights with diffusers' names; the released editor folder calls two embedders otherwise than diffusers itself does."""
    from step1x_edit.model.layouts import TRANSFORMER, ToDiffusers

    renamed = {}
    for name, tensor in ToDiffusers(weights, TRANSFORMER).items():
        for ours, theirs in (("time_embed.", "timestep_embedder."), ("vec_embed.", "text_embedder.")):
            name = name.replace(ours, f"time_text_embed.{theirs}")
        renamed[name.replace("in_layer", "linear_1").replace("out_layer", "linear_2")] = tensor
    return renamed


def _take_turns(works: dict[str, Callable], repeats: int, clock: Callable[[], float]) -> tuple[dict[str, float], dict]:
    """Best seconds of each, and what each gave."""
    seconds: dict[str, float] = {}
    results = {}
    for _ in range(repeats):
        for name, work in works.items():
            begin = clock()
            results[name] = work()
            seconds[name] = min(seconds.get(name, math.inf), clock() - begin)
    return seconds, results


if __name__ == "__main__":
    main()
