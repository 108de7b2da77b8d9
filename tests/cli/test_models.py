from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from step1x_edit.cli.main import run
from step1x_edit.cli.models import app
from step1x_edit.errors import UsageError
from step1x_edit.hub import RELEASES

Run = Callable[..., subprocess.CompletedProcess[str]]
REFERENCE = Path(__file__).parents[1] / "reference"


def test_names_and_folders_are_listed_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name is what `pull` is to be given, a folder may be long, and the terminal is narrow."""
    (tmp_path / "v1.2").mkdir()
    monkeypatch.setenv("STEP1X_MODELS", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "80")
    result = CliRunner().invoke(app, ["list"])
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in result.stdout.splitlines() if "│" in line]
    assert {"mini", *RELEASES} <= {row[0] for row in rows}
    assert str(tmp_path / "v1.2") in "".join(row[-1] for row in rows)


@pytest.mark.parametrize("command", [["edit", "photo.png", "make it night"], ["ui", "--no-browser"], ["serve", "--port", "0"]])
def test_a_model_that_is_not_here_is_said_to_be_pulled_by_its_own_name(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not by its version's, which is fetched in another layout and to another folder, or by that of no model."""
    monkeypatch.setenv("STEP1X_MODELS", str(tmp_path))
    assert run([*command, "--model", "v1.1-diffusers"]) == 2
    assert "step1x models pull v1.1-diffusers fetches them" in capsys.readouterr().err
    assert run([*command, "--model", "maxi"]) == 2
    assert "There is no model 'maxi'; choose one of mini, v1.0" in capsys.readouterr().err


def test_verify_prints_every_tensor_and_succeeds() -> None:
    result = CliRunner().invoke(app, ["verify", str(REFERENCE)])
    assert result.exit_code == 0
    assert "b2.prediction_reference_half" in result.stdout and "diffusers_v1p2: output" in result.stdout
    assert result.stdout.rstrip().endswith("22 of 22 tensors agree within 0.0002.")


def test_verify_fails_where_a_tensor_is_too_far() -> None:
    result = CliRunner().invoke(app, ["verify", str(REFERENCE / "diffusers_v1p1"), "--tolerance", "1e-12"])
    assert result.exit_code == 1
    assert "DIFFERS" in result.stdout and "0 of 1 tensors agree within 1e-12." in result.stdout


def test_verify_says_what_a_folder_must_hold(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"dit_io.safetensors.*transformer_io.safetensors") as raised:
        CliRunner().invoke(app, ["verify", str(tmp_path)], catch_exceptions=False)
    assert raised.value.exit_code == 2


def test_an_adapter_is_written_in_the_other_naming(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    there, peft, back = (tmp_path / f"{name}.safetensors" for name in ("there", "peft", "back"))
    key = "lora_unet_double_blocks_0_img_attn_qkv"
    save_file({f"{key}.lora_down.weight": torch.ones(2, 192), f"{key}.lora_up.weight": torch.ones(576, 2)}, there)
    assert run(["models", "convert", str(there), str(peft), "--to", "peft", "--model", "mini"]) == 0
    names = [f"transformer.transformer_blocks.0.attn.to_{part}.lora_{side}.weight" for part in "qkv" for side in "AB"]
    assert sorted(load_file(peft)) == sorted(names)
    assert run(["models", "convert", str(peft), str(back), "--to", "kohya", "--model", "mini"]) == 0
    whole = {name: load_file(back)[f"{key}.lora_{name}.weight"] for name in ("up", "down")}
    assert torch.equal(whole["up"] @ whole["down"], torch.full((576, 192), 2.0))
    capsys.readouterr()
    for target, sentence in ((back, "exists already"), (tmp_path / "folder", "is no .safetensors file")):
        assert run(["models", "convert", str(peft), str(target), "--to", "kohya", "--model", "mini"]) == 2
        assert sentence in capsys.readouterr().err


def test_a_plan_is_printed(step1x: Run) -> None:
    done = step1x("models", "plan", "v1.1", "--size", "1024", "--vram", "16", "--ram", "64", env={"COLUMNS": "100"})
    assert done.returncode == 0, done.stderr
    assert "Weights, in billions: mllm 8.29, autoencoder 0.0838, connector and dit 12.4." in done.stdout
    assert "8832 tokens (640 text, 4096 noisy, 4096 of pictures)" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("step1x edit --model v1.1 --vram 16 takes: --weights-dtype int8 --offload parts.")
    assert sum("fits" in line for line in done.stdout.splitlines()) == 6
    (taken,) = (line for line in done.stdout.splitlines() if "│ taken" in line)
    assert taken.split("│")[1].strip() == "int8" and taken.split("│")[2].strip() == "parts"


def test_a_plan_that_cannot_be(step1x: Run) -> None:
    for options, sentence in ((["v9"], "There is no model 'v9'"), (["mini", "--vram", "0.1", "--size", "4096"], "needs at least")):
        done = step1x("models", "plan", *options)
        assert done.returncode == 2 and sentence in done.stderr and done.stderr.count("\n") == 1
