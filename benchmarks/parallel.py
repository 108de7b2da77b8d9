"""A forward pass of the transformer on several devices against one, as ratios in one run.

    python benchmarks/parallel.py                          # one and two threads of a CPU, each in the place of a device
    python benchmarks/parallel.py --devices cuda:0 cuda:1  # GPUs; --hidden 3072 --heads 24 --double 19 --single 38 for the released sizes

"Two rows" are guidance's two sides, each on its device; "one row" has its tokens shared out. Seconds are those of the clock, so that the
machine should be idle; one device and several take turns, and the best of each counts. The deviation is that of the results, in standard
deviations of them.
"""

from __future__ import annotations

import argparse
import time
from functools import partial

import torch

from step1x_edit.model.dit import DiT
from step1x_edit.model.layers import Rope
from step1x_edit.model.parallel import Parallel
from step1x_edit.model.presets import DiTConfig
from step1x_edit.model.records import Context


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", nargs="+", default=["cpu", "cpu"], help="two or more; of a CPU, each is a thread")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--hidden", type=int, default=512)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--double", type=int, default=4, help="double blocks")
    parser.add_argument("--single", type=int, default=8, help="single blocks")
    parser.add_argument("--side", type=int, default=32, help="rows and columns of tokens")
    parser.add_argument("--text", type=int, default=128, help="text tokens")
    parser.add_argument("--repeats", type=int, default=4)
    arguments = parser.parse_args()
    devices, dtype = [torch.device(name) for name in arguments.devices], getattr(torch, arguments.dtype)
    if devices[0].type == "cpu":
        torch.set_num_threads(1)  # of each device's thread
    config = DiTConfig(
        hidden_size=arguments.hidden,
        num_heads=arguments.heads,
        depth=arguments.double,
        depth_single_blocks=arguments.single,
        axes_dim=tuple(arguments.hidden // arguments.heads * part // 16 for part in (2, 7, 7)),
        context_in_dim=arguments.hidden,
        vec_in_dim=arguments.hidden // 2,
    )
    models = [make(config, device, dtype) for device in devices]
    print(f"| pass | one device, s | {len(devices)} devices, s | times as fast | deviation |\n|---|---|---|---|---|")
    for rows in (2, 1):
        given = draw(config, rows, arguments.side, arguments.text, devices[0], dtype)
        ways = {"one": models[0].decode, "several": partial(Parallel(devices).decode, models)}
        best, results = dict.fromkeys(ways, float("inf")), {}
        for _ in range(1 + arguments.repeats):  # the first one warms up, and is hardly ever the best
            for name, decode in ways.items():
                begin = time.perf_counter()
                with torch.inference_mode():
                    results[name] = decode(*given, wanted=given[0].shape[1]).float().cpu()
                best[name] = min(best[name], time.perf_counter() - begin)
        off = float((results["one"] - results["several"]).std() / results["one"].std())
        name = "two rows" if rows == 2 else "one row"
        print(f"| {name} | {best['one']:.2f} | {best['several']:.2f} | {best['one'] / best['several']:.2f} | {off:.1e} |", flush=True)


def make(config: DiTConfig, device: torch.device, dtype: torch.dtype) -> DiT:
    """A model of random weights, the same for every device."""
    with torch.device("meta"):
        model = DiT(config)
    model = model.to_empty(device=device).to(dtype).eval().requires_grad_(False)
    generator = torch.Generator(device).manual_seed(0)
    for parameter in model.parameters():
        parameter.normal_(std=0.03, generator=generator)
    return model


def draw(
    config: DiTConfig, rows: int, side: int, text: int, device: torch.device, dtype: torch.dtype
) -> tuple[torch.Tensor, torch.Tensor, Context, torch.Tensor, Rope]:
    """Noisy and reference tokens, context, times and rope's angles."""
    generator = torch.Generator().manual_seed(1)

    def tokens(*shape: int) -> torch.Tensor:
        return torch.randn(rows, *shape, generator=generator).to(device, dtype)

    places = torch.cartesian_prod(torch.arange(side), torch.arange(side))
    pictures = [torch.nn.functional.pad(places, (1, 0), value=kind) for kind in (0, 1)]
    ids = torch.cat([torch.zeros(text, 3), *pictures])[None].to(device)
    context = Context(tokens(text, config.context_in_dim), tokens(config.vec_in_dim))
    pair = tokens(side * side, config.in_channels), tokens(side * side, config.in_channels)
    return *pair, context, torch.full((rows,), 0.7, device=device), Rope.of(ids, config.axes_dim, config.theta)


if __name__ == "__main__":
    main()
