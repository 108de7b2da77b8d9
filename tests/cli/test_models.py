from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from step1x_edit.cli.models import app
from step1x_edit.errors import UsageError

REFERENCE = Path(__file__).parents[1] / "reference"


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
