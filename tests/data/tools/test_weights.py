"""Weights are found, digested and loaded whole, or refused in one sentence."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from huggingface_hub import constants
from safetensors.torch import load_file, save_file

from step1x_edit.data.recipe import DataRecipe
from step1x_edit.data.tools.choice import ToolChoice
from step1x_edit.data.tools.sam2 import Sam2
from step1x_edit.data.tools.toolbox import Toolbox
from step1x_edit.data.tools.weights import digest_file, find_weights
from step1x_edit.errors import UsageError, WeightsError

Twin = Callable[[str], Path]
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hub(twin: Twin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The hub's cache with one repository in it, and no network."""
    root = tmp_path / "models--someone--sam2"
    snapshot = root / "snapshots" / COMMIT
    for folder in (root / "blobs", root / "refs", snapshot):
        folder.mkdir(parents=True)
    (root / "refs" / "main").write_text(COMMIT)
    for file in twin("sam2").iterdir():
        data = file.read_bytes()
        large = file.suffix == ".safetensors"
        blob = root / "blobs" / (hashlib.sha256(data).hexdigest() if large else hashlib.sha1(data).hexdigest())
        blob.write_bytes(data)
        (snapshot / file.name).symlink_to(os.path.relpath(blob, snapshot))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return snapshot


def test_a_repository_is_the_same_as_a_folder_of_its_files(hub: Path, twin: Twin) -> None:
    there = find_weights(ToolChoice("sam2", "someone/sam2@main"), None)
    here = find_weights(ToolChoice("sam2", str(twin("sam2"))), None)
    assert there.path == hub
    assert there.facts == {"model": "someone/sam2@main", "revision": COMMIT, "sha256": here.facts["sha256"]}
    assert "revision" not in here.facts
    assert Sam2.open(ToolChoice("sam2", "someone/sam2", device="cpu")).card.parameters["revision"] == COMMIT


def test_the_caches_own_names_are_taken_for_checksums(hub: Path) -> None:
    file = hub / "model.safetensors"
    assert digest_file(file) == hashlib.sha256(file.read_bytes()).hexdigest()
    file.resolve().write_bytes(b"not read")
    assert digest_file(file) == file.resolve().name


def test_what_cannot_be_found_is_refused(hub: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"someone/else cannot be fetched \(.*\); fetch it elsewhere, and give the folder"):
        find_weights(ToolChoice("sam2", "someone/else"), None)
    with pytest.raises(WeightsError, match="neither a folder here nor the name of a repository"):
        find_weights(ToolChoice("sam2", "no/such/folder"), None)
    with pytest.raises(WeightsError, match=r"holds no \*\.json"):
        find_weights(ToolChoice("sam2", str(tmp_path / "models--someone--sam2" / "refs")), None)
    with pytest.raises(UsageError, match='needs a model; name a folder or a repository: "sam2:MODEL"'):
        find_weights(ToolChoice("sam2"), None)


@pytest.mark.usefixtures("breaking_hub")
def test_a_connection_that_breaks_is_one_sentence() -> None:
    with pytest.raises(WeightsError, match=r"someone/sam2 cannot be fetched \(peer closed connection .*\); fetch it elsewhere"):
        find_weights(ToolChoice("sam2", "someone/sam2"), None)


def test_a_checksum_follows_every_file(twin: Twin, tmp_path: Path) -> None:
    digests = set()
    for change in ("none", "config.json", "model.safetensors", "renamed"):
        folder = tmp_path / change
        folder.mkdir()
        for file in twin("sam2").iterdir():
            extra = b" " if file.name == change else b""
            (folder / (f"{file.stem}-1{file.suffix}" if change == "renamed" else file.name)).write_bytes(file.read_bytes() + extra)
        digests.add(find_weights(ToolChoice("sam2", str(folder)), None).facts["sha256"])
    assert len(digests) == 4


def test_weights_of_another_model_and_half_of_them_are_refused(twin: Twin, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="the tool sam2"):
        Sam2.open(ToolChoice("sam2", str(twin("clip")), device="cpu"))
    tensors = load_file(twin("sam2") / "model.safetensors")
    tensors.pop("mask_decoder.iou_token.weight")
    save_file(tensors, tmp_path / "model.safetensors", {"format": "pt"})
    (tmp_path / "config.json").write_bytes((twin("sam2") / "config.json").read_bytes())
    with pytest.raises(WeightsError, match=r"lacks 1 weights of the tool sam2 \(mask_decoder.iou_token.weight, for one\)"):
        Sam2.open(ToolChoice("sam2", str(tmp_path), device="cpu"))
    (tmp_path / "model.safetensors").write_bytes(b"half")
    with pytest.raises(WeightsError, match="cannot be loaded as the tool sam2"):
        Sam2.open(ToolChoice("sam2", str(tmp_path), device="cpu"))
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(WeightsError, match="cannot be loaded as the tool sam2"):
        Sam2.open(ToolChoice("sam2", str(tmp_path), device="cpu"))


def test_a_recipe_names_a_tool_and_its_weights_in_one_line_or_a_section(twin: Twin) -> None:
    tools = {"segmenter": f"sam2:{twin('sam2')}", "faces": {"name": "detr", "model": str(twin("detector")), "label": "face"}}
    recipe = DataRecipe.model_validate({"count": 1, "photos": ["p"], "cutouts": ["c"], "tools": tools})
    toolbox = DataRecipe.model_validate(json.loads(recipe.model_dump_json())).open_tools()
    described = toolbox.describe("segmenter", "faces", "flow")
    assert described["segmenter"]["model"] == str(twin("sam2"))
    assert described["faces"]["label"] == "face"
    assert {len(described[role]["sha256"]) for role in ("segmenter", "faces")} == {64}
    assert described["flow"]["name"] == "dis"


def test_settings_that_a_tool_does_not_read_are_refused(twin: Twin) -> None:
    with pytest.raises(UsageError, match="sam2 takes no label; leave it out"):
        Sam2.open(ToolChoice("sam2", str(twin("sam2")), label="cat"))
    with pytest.raises(UsageError, match="no segmenter 'sam3'; use grabcut, sam2"):
        Toolbox({"segmenter": ToolChoice.parse("sam3:somewhere")})
