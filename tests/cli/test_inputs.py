"""What `--like` asks for because the file does not hold it."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from step1x_edit.cli.inputs import read_likeness
from step1x_edit.errors import UsageError
from step1x_edit.image_io import write_image
from step1x_edit.settings import describe_edit
from step1x_edit.types import EditRequest, EditResult


def test_further_pictures_are_asked_for(tmp_path: Path, scene: Image.Image) -> None:
    result = EditResult(scene, scene, EditRequest(scene, "put her hat on him", references=(scene,)), "v1.1")
    write_image(scene, tmp_path / "a.png", record=describe_edit(result))
    with pytest.raises(UsageError, match="made with further pictures, which are not kept in the file; give them with --reference"):
        read_likeness(tmp_path / "a.png", masked=False, adapted=False, accompanied=False)
    assert read_likeness(tmp_path / "a.png", masked=False, adapted=False, accompanied=True).references == "1"
