"""Adapters in both namings against the sum that they stand for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from step1x_edit.errors import WeightsError
from step1x_edit.model.lora import Attached, merge_adapters, read_adapter, save_adapter
from step1x_edit.model.records import Embedding, Grid
from step1x_edit.model.step1x_edit import Step1XEdit

Model = Callable[..., Step1XEdit]
Draw = Callable[..., Tensor]
GRID = Grid(2, 3)
T = torch.tensor([0.8, 0.3])


def kohya(draw: Draw, names: dict[str, tuple[int, int]], rank: int = 3, alpha: float | None = 6.0) -> dict[str, Tensor]:
    tensors = {}
    for i, (name, (outputs, inputs)) in enumerate(names.items()):
        tensors[f"lora_unet_{name}.lora_down.weight"] = draw(rank, inputs, seed=10 + i) * 0.3
        tensors[f"lora_unet_{name}.lora_up.weight"] = draw(outputs, rank, seed=20 + i) * 0.3
        if alpha is not None:
            tensors[f"lora_unet_{name}.alpha"] = torch.tensor(alpha)
    return tensors


KOHYA = {"double_blocks_0_img_attn_qkv": (96, 32), "single_blocks_1_linear2": (32, 160), "final_layer_adaLN_modulation_1": (64, 32)}


@pytest.fixture
def kohya_file(tmp_path: Path, draw: Draw) -> Path:
    save_file(kohya(draw, KOHYA), tmp_path / "style.safetensors")
    return tmp_path / "style.safetensors"


def velocity(model: Step1XEdit, embedding: Embedding, draw: Draw) -> Tensor:
    return model(draw(2, 6, 16), draw(2, 6, 16, seed=2), embedding, T, GRID)


def test_kohya_is_the_sum(tiny_model: Model, kohya_file: Path) -> None:
    model, plain = tiny_model("v1.1"), tiny_model("v1.1")
    merge_adapters(model, [(read_adapter(kohya_file, model), 0.5)])
    tensors = load_file(kohya_file)
    changed = []
    for name, parameter in model.named_parameters():
        expected = plain.get_parameter(name).detach()
        key = "lora_unet_" + name.removesuffix(".weight").replace(".", "_")
        if f"{key}.alpha" in tensors and name.endswith(".weight"):
            changed.append(name)
            expected = expected + 0.5 * (6.0 / 3) * tensors[f"{key}.lora_up.weight"] @ tensors[f"{key}.lora_down.weight"]
        torch.testing.assert_close(parameter.detach(), expected)
    assert len(changed) == 3


def test_apart_is_the_same_as_merged(tiny_model: Model, kohya_file: Path, embedding: Embedding, draw: Draw, tmp_path: Path) -> None:
    other = tmp_path / "light.safetensors"
    save_file(kohya(draw, {"double_blocks_0_img_attn_qkv": (96, 32), "txt_in": (32, 24)}, rank=1, alpha=None), other)
    model, merged = tiny_model("v1.1"), tiny_model("v1.1")
    plain = velocity(model, embedding, draw)
    used = [(read_adapter(kohya_file, model), 0.8), (read_adapter(other, model), -0.3)]
    merge_adapters(merged, used)
    attached = Attached(model, used)
    torch.testing.assert_close(velocity(model, embedding, draw), velocity(merged, embedding, draw), rtol=1e-4, atol=1e-5)
    assert (velocity(merged, embedding, draw) - plain).abs().max() > 1e-3
    attached.weights[:] = [0.0, 0.0]
    torch.testing.assert_close(velocity(model, embedding, draw), plain, rtol=0, atol=0)
    attached.weights[1] = 1.0
    assert (velocity(model, embedding, draw) - plain).abs().max() > 1e-4
    attached.remove()
    torch.testing.assert_close(velocity(model, embedding, draw), plain, rtol=0, atol=0)
    Attached(model, [used[0], (used[0][0], -used[0][1])])  # the same one may come twice
    torch.testing.assert_close(velocity(model, embedding, draw), plain, rtol=1e-4, atol=1e-5)


def test_a_part_beside_a_layer_takes_no_second_output(tiny_model: Model, draw: Draw, tmp_path: Path) -> None:
    """The outputs of a single block's first layer are the widest numbers of an edit, and small adapters add to a seventh of them."""
    model, x = tiny_model("v1.1"), draw(1, 5, 32)
    seen: list[Tensor] = []

    class Seen(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            seen.append(func(*args, **(kwargs or {})))
            return seen[-1]

    modules = [f"transformer.single_transformer_blocks.0.attn.{part}" for part in ("to_k", "to_v")]
    parts = [{f"{module}.lora_A.weight": draw(2, 32), f"{module}.lora_B.weight": draw(32, 2)} for module in modules]
    save_file(parts[0] | parts[1], tmp_path / "parts.safetensors")
    Attached(model, [(read_adapter(tmp_path / "parts.safetensors", model), 1.0)])
    layer = model.get_submodule("single_blocks.0.linear1")
    with Seen():
        output = layer(x)
    assert len({made.untyped_storage().data_ptr() for made in seen if made.numel() == output.numel()}) == 1


def peft(draw: Draw) -> dict[str, Tensor]:
    """Only queries and values of a double block, the inner part of a single block, and the last modulation, whose halves are swapped."""
    modules = {
        "transformer_blocks.0.attn.to_q": (32, 32),
        "transformer_blocks.0.attn.to_v": (32, 32),
        "single_transformer_blocks.0.proj_mlp": (128, 32),
        "norm_out.linear": (64, 32),
        "connector.global_proj_out": (10, 14),
    }
    tensors = {}
    for i, (name, (outputs, inputs)) in enumerate(modules.items()):
        tensors[f"transformer.{name}.lora_A.weight"] = draw(2, inputs, seed=30 + i) * 0.3
        tensors[f"transformer.{name}.lora_B.weight"] = draw(outputs, 2, seed=40 + i) * 0.3
    return tensors


def test_diffusers_names_add_to_their_part(tiny_model: Model, tmp_path: Path, draw: Draw) -> None:
    save_file(peft(draw), tmp_path / "parts.safetensors")
    model, plain = tiny_model("v1.1"), tiny_model("v1.1")
    merge_adapters(model, [(read_adapter(tmp_path / "parts.safetensors", model), 1.0)])

    def added(name: str) -> Tensor:
        return (model.get_parameter(name) - plain.get_parameter(name)).detach()

    def product(name: str) -> Tensor:
        return peft(draw)[f"transformer.{name}.lora_B.weight"] @ peft(draw)[f"transformer.{name}.lora_A.weight"]

    close = {"rtol": 1e-4, "atol": 1e-6}
    qkv = added("double_blocks.0.img_attn.qkv.weight")
    torch.testing.assert_close(qkv[:32], product("transformer_blocks.0.attn.to_q"), **close)
    assert not qkv[32:64].any()
    torch.testing.assert_close(qkv[64:], product("transformer_blocks.0.attn.to_v"), **close)
    torch.testing.assert_close(added("single_blocks.0.linear1.weight")[96:], product("single_transformer_blocks.0.proj_mlp"), **close)
    swapped = product("norm_out.linear")
    torch.testing.assert_close(added("final_layer.adaLN_modulation.1.weight"), torch.cat([swapped[32:], swapped[:32]]), **close)
    assert added("connector.global_proj_out.weight").any()


@pytest.mark.parametrize(
    ("module", "outputs", "expected", "inputs"),
    [
        ("transformer.transformer_blocks.0.attn.to_q", 96, 32, 32),  # of all three, under the name of one
        ("transformer.transformer_blocks.0.attn.to_k", 64, 32, 32),
        ("transformer.transformer_blocks.0.attn.to_v", 16, 32, 32),
        ("transformer.single_transformer_blocks.0.attn.to_q", 160, 32, 32),
        ("transformer.single_transformer_blocks.0.proj_mlp", 64, 128, 32),
        ("double_blocks.0.img_attn.qkv", 64, 96, 32),
    ],
)
def test_a_part_has_its_own_size(
    tiny_model: Model, tmp_path: Path, draw: Draw, module: str, outputs: int, expected: int, inputs: int
) -> None:
    save_file({f"{module}.lora_A.weight": draw(2, inputs), f"{module}.lora_B.weight": draw(outputs, 2)}, tmp_path / "odd.safetensors")
    with pytest.raises(WeightsError, match=rf"does not fit the model: .* where the layer is {expected} x {inputs}\.$"):
        read_adapter(tmp_path / "odd.safetensors", tiny_model("v1.1"))


@pytest.mark.parametrize("naming", ["kohya", "peft"])
@pytest.mark.parametrize("source", ["kohya", "peft"])
def test_saving_in_both(tiny_model: Model, tmp_path: Path, draw: Draw, source: str, naming: str) -> None:
    save_file(kohya(draw, KOHYA) if source == "kohya" else peft(draw), tmp_path / "one.safetensors")
    one, other = tiny_model("v1.1"), tiny_model("v1.1")
    adapter = read_adapter(tmp_path / "one.safetensors", one)
    save_adapter(tmp_path / "two.safetensors", adapter, naming)  # type: ignore[arg-type]
    written = load_file(tmp_path / "two.safetensors")
    assert all(key.startswith("lora_unet_" if naming == "kohya" else "transformer.") for key in written)
    if source == naming:  # what needs no other form keeps its numbers
        assert {key: t for key, t in written.items() if "alpha" not in key}.keys() == {
            k for k in load_file(tmp_path / "one.safetensors") if "alpha" not in k
        }
    merge_adapters(one, [(adapter, 1.0)])
    merge_adapters(other, [(read_adapter(tmp_path / "two.safetensors", other), 1.0)])
    for name, parameter in one.named_parameters():
        torch.testing.assert_close(parameter, other.get_parameter(name), rtol=1e-4, atol=1e-6)


def test_a_folder_of_peft(tiny_model: Model, tmp_path: Path, draw: Draw) -> None:
    tensors = {"base_model.model.img_in.lora_A.weight": draw(2, 16), "base_model.model.img_in.lora_B.weight": draw(32, 2)}
    save_file(tensors, tmp_path / "adapter_model.safetensors")
    (tmp_path / "adapter_config.json").write_text(json.dumps({"lora_alpha": 8, "r": 2}))
    (piece,) = read_adapter(tmp_path, tiny_model("v1.0")).pieces["img_in"]
    assert (piece.scale, piece.rank, piece.start) == (4.0, 2, 0)
    (tmp_path / "adapter_config.json").write_text(json.dumps({"lora_alpha": 8, "r": 2, "alpha_pattern": {"txt_in": 2, "img_(in|out)": 16}}))
    assert read_adapter(tmp_path, tiny_model("v1.0")).pieces["img_in"][0].scale == 8.0
    (tmp_path / "adapter_config.json").write_text(json.dumps({"lora_alpha": 8, "r": 2, "alpha_pattern": {"^img_in": 2}}))
    assert read_adapter(tmp_path, tiny_model("v1.0")).pieces["img_in"][0].scale == 1.0
    (tmp_path / "adapter_config.json").write_text(json.dumps({"lora_alpha": 8, "use_dora": True}))
    with pytest.raises(WeightsError, match="not the configuration of a plain"):
        read_adapter(tmp_path, tiny_model("v1.0"))


@pytest.mark.parametrize(
    "begun", ["pissa", "pissa_niter_16", "olora", "corda", "lora_ga", "loftq", "gaussian", "eva", "orthogonal", True, False]
)
def test_an_adapter_trained_beside_changed_weights_is_refused(tiny_model: Model, tmp_path: Path, draw: Draw, begun: str | bool) -> None:
    tensors = {"base_model.model.img_in.lora_A.weight": draw(2, 16), "base_model.model.img_in.lora_B.weight": draw(32, 2)}
    save_file(tensors, tmp_path / "adapter_model.safetensors")
    (tmp_path / "adapter_config.json").write_text(json.dumps({"lora_alpha": 4, "init_lora_weights": begun}))
    if begun in ("gaussian", "eva", "orthogonal", True, False):
        assert read_adapter(tmp_path, tiny_model("v1.0")).pieces["img_in"][0].scale == 2.0
    else:
        with pytest.raises(WeightsError, match="not the configuration of a plain"):
            read_adapter(tmp_path, tiny_model("v1.0"))


@pytest.mark.parametrize("naming", ["kohya", "peft"])
def test_an_adapter_in_float8_is_written_too(tiny_model: Model, tmp_path: Path, draw: Draw, naming: Literal["kohya", "peft"]) -> None:
    model = tiny_model("v1.1")
    stored = {name: t if name.endswith("alpha") else t.to(torch.float8_e4m3fn) for name, t in kohya(draw, KOHYA, alpha=2.0).items()}
    save_file(stored, tmp_path / "one.safetensors")
    adapter = read_adapter(tmp_path / "one.safetensors", model)
    save_adapter(tmp_path / "two.safetensors", adapter, naming)
    again = read_adapter(tmp_path / "two.safetensors", model)
    for name, (piece,) in adapter.pieces.items():
        total = torch.zeros_like(piece.delta())
        for part in again.pieces[name]:
            total[part.start : part.start + len(part.up_OR)] += part.delta()
        torch.testing.assert_close(total, piece.delta())


def test_diffusers_writes_alpha_into_the_file(tiny_model: Model, tmp_path: Path, draw: Draw) -> None:
    tensors = {"transformer.x_embedder.lora_A.weight": draw(2, 16), "transformer.x_embedder.lora_B.weight": draw(32, 2)}
    file, model = tmp_path / "pytorch_lora_weights.safetensors", tiny_model("v1.0")

    def scale(**words: object) -> float:
        told = json.dumps({f"transformer.{name}": value for name, value in words.items()})
        save_file(tensors, file, {"format": "pt", "lora_adapter_metadata": told})
        return read_adapter(file, model).pieces["img_in"][0].scale

    assert scale(r=2, lora_alpha=8) == 4.0
    assert scale(r=2, lora_alpha=8, alpha_pattern={"x_embedder": 3}) == 1.5
    # of an adapter without alphas whose ranks differ: r is the commonest, and another layer is named from its beginning
    assert scale(r=16, lora_alpha=16, rank_pattern={"^x_embedder": 2}, alpha_pattern={"^x_embedder": 2}) == 1.0
    for wrong in ({"lora_alpha": 8, "use_rslora": True}, {"r": 2}, {"lora_alpha": 8, "alpha_pattern": ["x_embedder"]}):
        with pytest.raises(WeightsError, match="not the configuration of a plain"):
            scale(**wrong)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("lora_unet_img_in.lora_up.weight"), "has only one of its two matrices"),
        (
            lambda t: t.update({"lora_unet_img_in.lora_up.weight": torch.zeros(33, 3)}),
            r"does not fit the model: .* \[33, 3\] times \[3, 16\]",
        ),
        (lambda t: t.update({"lora_unet_img_in.lora_down.weight": torch.zeros(4, 16)}), "does not fit the model"),
        (lambda t: t.update({"lora_unet_img_in.lora_down.weight": torch.full((3, 16), torch.nan)}), "not finite"),
        (lambda t: t.update({"lora_unet_img_in.alpha": torch.tensor(torch.inf)}), "not finite"),
        (lambda t: t.update({"lora_unet_img_in.lora_down.weight": torch.zeros(3, 16, dtype=torch.int32)}), "not finite"),
        (
            lambda t: t.update({f"lora_unet_img_in.lora_{n}.weight": torch.zeros(s) for n, s in (("down", (0, 16)), ("up", (32, 0)))}),
            "damaged: lora_unet_img_in has rank 0",
        ),
        (lambda t: t.update({"lora_unet_other.alpha": torch.tensor(1.0)}), "changes lora_unet_other, which this model does not have"),
        (lambda t: t.update({"img_in.weight": torch.zeros(32, 16)}), "img_in.weight is neither in kohya's naming nor in peft's"),
        (lambda t: t.clear(), "is an empty adapter"),
    ],
)
def test_bad_adapters_are_one_sentence(
    tiny_model: Model, tmp_path: Path, draw: Draw, change: Callable[[dict[str, Tensor]], object], message: str
) -> None:
    tensors = kohya(draw, {"img_in": (32, 16)})
    change(tensors)
    save_file(tensors, tmp_path / "bad.safetensors")
    with pytest.raises(WeightsError, match=message) as raised:
        read_adapter(tmp_path / "bad.safetensors", tiny_model("v1.0"))
    assert "\n" not in str(raised.value)


def test_bfloat16_models_stay_bfloat16(tiny_model: Model, kohya_file: Path) -> None:
    model = tiny_model("v1.1").to(torch.bfloat16)
    merge_adapters(model, [(read_adapter(kohya_file, model), 1.0)])
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
