"""Agreement with the published implementations, number for number, on the tensors beside this file."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from step1x_edit.errors import UsageError, WeightsError
from step1x_edit.flow.sampler import sample
from step1x_edit.flow.schedule import schedule, shift_for
from step1x_edit.model.autoencoder import Autoencoder
from step1x_edit.model.presets import PRESETS, AutoencoderConfig, ConnectorConfig, DiTConfig
from step1x_edit.model.records import Embedding, Grid
from step1x_edit.model.step1x_edit import Step1XEdit
from step1x_edit.verification import TOLERANCE, Agreement, verify

REFERENCE = Path(__file__).parent
FORWARD = ["connector_tokens", "connector_vector", "prediction", "prediction_reference_half"]
SINGLE_FILE = [
    *(f"b1.{name}" for name in FORWARD),
    *(f"b2.{name}" for name in FORWARD),
    "denoise.timesteps",
    "denoise.plain.latent",
    "denoise.normed.latent",
]
SCHEDULES = [f"schedules.{name}" for name in ("4x256", "28x1024", "28x4096", "50x2304")]
AUTOENCODER = ["moments", "latent_mean", "decoded"]


@pytest.fixture(scope="module")
def agreements() -> dict[str, Agreement]:
    return {each.name: each for each in verify(REFERENCE)}


def test_everything_is_compared(agreements: dict[str, Agreement]) -> None:
    others = ["diffusers_v1p1: output", "diffusers_v1p2: output"]
    keys = [f"official_keys.json: {name}" for name in ("step1x-edit-i1258.safetensors", "vae.safetensors")]
    assert list(agreements) == SINGLE_FILE + SCHEDULES + AUTOENCODER + others + keys


@pytest.mark.parametrize("name", SINGLE_FILE + SCHEDULES + AUTOENCODER)
def test_agreement(agreements: dict[str, Agreement], name: str) -> None:
    assert agreements[name].within(TOLERANCE), f"{agreements[name].difference:.1e}"


@pytest.mark.parametrize("folder", ["diffusers_v1p1", "diffusers_v1p2"])
def test_agreement_in_the_diffusers_layout(folder: str) -> None:
    (only,) = verify(REFERENCE / folder)
    assert only.name == "output" and only.within(TOLERANCE)


def test_every_released_key_and_shape(agreements: dict[str, Agreement]) -> None:
    released = json.loads((REFERENCE / "official_keys.json").read_text())
    with torch.device("meta"):
        model, autoencoder = Step1XEdit(PRESETS["v1.0"]), Autoencoder(PRESETS["v1.0"].autoencoder)
    for module, file in ((model, "step1x-edit-i1258.safetensors"), (autoencoder, "vae.safetensors")):
        assert {name: list(tensor.shape) for name, tensor in module.state_dict().items()} == released[file]
    assert len(model.state_dict()) == 817
    assert round(sum(p.numel() for p in model.parameters()) / 1e9, 2) == 12.43
    assert round(sum(p.numel() for p in model.connector.parameters()) / 1e9, 2) == 0.54


def _copy(folder: Path, without: str = "") -> Path:
    """The reference folder again, as links, so that single files can be replaced."""
    for file in REFERENCE.iterdir():
        if file.is_file() and file.name not in (without, "official_keys.json"):
            (folder / file.name).symlink_to(file)
    return folder


def _change_tensors(folder: Path, file: str, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    tensors = load_file(REFERENCE / file)
    change(tensors)
    (folder / file).unlink()
    save_file(tensors, folder / file)


def _change_config(folder: Path, **changes: Any) -> None:
    values = {**json.loads((REFERENCE / "config.json").read_text()), **changes}
    (folder / "config.json").unlink()
    (folder / "config.json").write_text(json.dumps({name: value for name, value in values.items() if value is not None}))


def test_a_small_change_to_one_weight_is_found_where_it_acts(tmp_path: Path) -> None:
    _change_tensors(_copy(tmp_path), "dit.safetensors", lambda tensors: tensors["single_blocks.2.linear2.weight"].mul_(1.01))
    apart = {each.name for each in verify(tmp_path) if not each.within(TOLERANCE)}
    predictions = {f"{case}.{half}" for case in ("b1", "b2") for half in ("prediction", "prediction_reference_half")}
    assert apart == predictions | {"denoise.plain.latent", "denoise.normed.latent"}


def test_values_that_are_not_numbers_never_agree(tmp_path: Path) -> None:
    _change_tensors(_copy(tmp_path), "dit_io.safetensors", lambda tensors: tensors["b1.noisy"].fill_(torch.nan))
    apart = {each.name for each in verify(tmp_path) if not each.within(float("inf"))}
    assert apart == {"b1.prediction", "b1.prediction_reference_half"}


def test_convolutions_are_computed_in_float32_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    decode, allowed = Autoencoder.decode, []

    def watched(self: Autoencoder, latent: torch.Tensor) -> torch.Tensor:
        allowed.append(torch.backends.cudnn.allow_tf32)
        return decode(self, latent)

    monkeypatch.setattr(Autoencoder, "decode", watched)
    before = torch.backends.cudnn.allow_tf32
    list(verify(REFERENCE))
    assert allowed == [False] and torch.backends.cudnn.allow_tf32 is before


def test_other_sizes_are_read_from_the_folder(tmp_path: Path) -> None:
    """A reference folder that we make ourselves, in which no size is that of the one beside this file."""
    dit = DiTConfig(
        in_channels=12,
        out_channels=12,
        vec_in_dim=6,
        context_in_dim=20,
        hidden_size=24,
        mlp_ratio=3.0,
        num_heads=3,
        depth=1,
        depth_single_blocks=1,
        axes_dim=(2, 2, 4),
        theta=500,
    )
    connector = ConnectorConfig(in_channels=10, hidden_size=20, heads_num=2, depth=1, scale_factor=False)
    picture = AutoencoderConfig(ch=8, ch_mult=(1, 2), num_res_blocks=1, z_channels=3, scale_factor=0.5, shift_factor=0.2, groups=4)
    torch.manual_seed(0)
    model = Step1XEdit(replace(PRESETS["v1.1"], dit=dit, connector=connector, autoencoder=picture)).eval()
    autoencoder, grid, steps = Autoencoder(picture).eval(), Grid(3, 2), 3
    embedding = Embedding(torch.randn(2, 5, 10), torch.tensor([[True] * 5, [True] * 2 + [False] * 3]))
    noisy, reference, t, image = torch.randn(2, 6, 12), torch.randn(2, 6, 12), torch.tensor([0.2, 0.9]), torch.randn(1, 3, 4, 6)
    with torch.no_grad():
        context, times = model.connector(embedding, t), schedule(steps, shift_for(grid.tokens))
        both = model.decode(noisy, reference, context, t, model.ids(embedding, grid, grid))
        io = {
            "c.noisy": noisy,
            "c.reference": reference,
            "c.llm_embedding": embedding.tokens_BLC,
            "c.mask": embedding.mask_BL.long(),
            "c.t": t,
            "c.connector_tokens": context.tokens_BLD,
            "c.connector_vector": context.vector_BV,
            "c.prediction": both[:, :6].contiguous(),
            "c.prediction_reference_half": both[:, 6:].contiguous(),
            "denoise.llm_embedding": embedding.tokens_BLC.clone(),
            "denoise.mask": embedding.mask_BL.long(),
            "denoise.noise": noisy[:1].clone(),
            "denoise.reference": reference[:1].clone(),
            "denoise.timesteps": torch.tensor(times, dtype=torch.float64),
        }
        for name, limit in (("plain", None), ("normed", 0.4)):
            io[f"denoise.{name}.latent"] = sample(
                lambda x, t: model(x, reference[:1].expand(2, -1, -1), embedding, t, grid),
                noisy[:1],
                times,
                guidance=2.5,
                limit_above=limit,
            )
        latent = autoencoder.encode(image)
        pictures = {"image": image, "moments": autoencoder.moments(image), "latent_mean": latent, "decoded": autoencoder.decode(latent)}
    save_file(model.state_dict(), tmp_path / "dit.safetensors")
    save_file(autoencoder.state_dict(), tmp_path / "autoencoder.safetensors")
    save_file(io, tmp_path / "dit_io.safetensors")
    save_file(pictures, tmp_path / "autoencoder_io.safetensors")
    config = {
        "dit": asdict(dit),
        "connector": {name: value for name, value in asdict(connector).items() if name not in ("scale_factor", "text_token_mapping")},
        "autoencoder": asdict(picture),
        "grid": [3, 2],
        "steps": steps,
        "guidance": 2.5,
        "normed_truncate": 0.4,
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    names = [*(f"c.{name}" for name in FORWARD), "denoise.timesteps", "denoise.plain.latent", "denoise.normed.latent", *AUTOENCODER]
    found = list(verify(tmp_path))
    assert [each.name for each in found] == names
    assert all(each.within(1e-5) for each in found), found


@pytest.mark.parametrize(
    "file", ["config.json", "dit.safetensors", "dit_io.safetensors", "autoencoder.safetensors", "autoencoder_io.safetensors"]
)
def test_a_folder_that_lacks_a_file_is_no_reference(tmp_path: Path, file: str) -> None:
    with pytest.raises(UsageError, match="is no reference folder"):
        list(verify(_copy(tmp_path, without=file)))


@pytest.mark.parametrize("folder", ["nowhere", "."])
def test_other_folders_are_no_reference(tmp_path: Path, folder: str) -> None:
    with pytest.raises(UsageError, match="is no reference folder"):
        list(verify(tmp_path / folder))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda io: io.pop("b1.t"), "lacks b1.t"),
        (lambda io: io.pop("denoise.timesteps"), "lacks denoise.timesteps"),
        (lambda io: io.update({"b1.noisy": torch.zeros(1, 24, 63)}), r"b1.noisy has the shape \[1, 24, 63\]"),
        (lambda io: io.update({"b1.mask": torch.ones(1, 3)}), r"b1.mask has the shape \[1, 3\]"),
        (lambda io: io.update({"b2.t": torch.tensor(0.5)}), r"b2.t has the shape \[\]"),
    ],
)
def test_inputs_that_do_not_fit_are_one_sentence(tmp_path: Path, change: Callable[[dict[str, torch.Tensor]], object], message: str) -> None:
    _change_tensors(_copy(tmp_path), "dit_io.safetensors", change)
    with pytest.raises(UsageError, match=message):
        list(verify(tmp_path))


def test_an_output_of_another_shape_differs(tmp_path: Path) -> None:
    _change_tensors(_copy(tmp_path), "dit_io.safetensors", lambda io: io.update({"b1.prediction": torch.zeros(1, 24, 63)}))
    assert [each.name for each in verify(tmp_path) if not each.within()] == ["b1.prediction"]


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"grid": None}, UsageError, "lacks grid"),
        ({"grid": 24}, UsageError, r"grid must be \[rows, columns\]"),
        ({"grid": [0, 6]}, UsageError, r"grid must be \[rows, columns\]"),
        ({"grid": [4, 7]}, UsageError, "has the shape"),
        ({"steps": "six"}, UsageError, "steps must be a number"),
        ({"steps": -1}, UsageError, "steps must be a number"),
        ({"guidance": None}, UsageError, "lacks guidance"),
        ({"connector": []}, UsageError, "connector must be a table"),
        ({"schedules": {"many": [1, 0]}}, UsageError, "STEPSxTOKENS"),
        ({"dit": {"context_in_dim": 96}}, WeightsError, "do not fit the model"),
        ({"dit": {"depth": "two"}}, WeightsError, "depth"),
        ({"dit": {}}, WeightsError, "the connector gives 96 channels, the DiT takes 4096"),
    ],
)
def test_a_configuration_that_is_none_is_one_sentence(
    tmp_path: Path, changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    _change_config(_copy(tmp_path), **changes)
    with pytest.raises(error, match=message):
        list(verify(tmp_path))


def test_a_configuration_that_is_no_table(tmp_path: Path) -> None:
    (_copy(tmp_path, without="config.json") / "config.json").write_text("[]")
    with pytest.raises(UsageError, match="not a table"):
        list(verify(tmp_path))


def test_damaged_weights_are_reported(tmp_path: Path) -> None:
    whole = (REFERENCE / "dit.safetensors").read_bytes()
    (_copy(tmp_path, without="dit.safetensors") / "dit.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(WeightsError, match="not a whole safetensors file"):
        list(verify(tmp_path))
