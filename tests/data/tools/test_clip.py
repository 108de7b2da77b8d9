"""CLIP and SigLIP through twins: vectors are the library's own, and tags and scores follow from them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest
import torch
from PIL import Image

from step1x_edit.bench.building.lookalikes import LocalSearch
from step1x_edit.bench.building.store import Store
from step1x_edit.cli.main import run
from step1x_edit.data.labels import LABELS
from step1x_edit.data.tools.choice import ToolChoice
from step1x_edit.data.tools.clip import BAD, GOOD, Clip
from step1x_edit.data.tools.toolbox import Toolbox
from step1x_edit.data.triplet import Floats, Pixels

Photo = Callable[[str, int], Pixels]
NAMES = ("clip", "siglip")


@pytest.fixture(scope="module")
def tools(twin: Callable[[str], Path]) -> dict[str, Clip]:
    return {name: Clip.open(ToolChoice("clip", str(twin(name)), device="cpu")) for name in NAMES}


def ask_library(tool: Clip, picture: Pixels, texts: list[str]) -> Floats:
    """What the model itself makes of a picture and texts: logits [texts]."""
    prepared = tool.processor(text=texts, images=Image.fromarray(picture), return_tensors="pt", padding="max_length", truncation=True)
    with torch.inference_mode():
        return tool.model(**prepared).logits_per_image[0].numpy()


@pytest.mark.parametrize("name", NAMES)
def test_vectors_agree_with_the_library(tools: dict[str, Clip], photo: Photo, name: str) -> None:
    tool, picture, texts = tools[name], photo("coffee", 64), ["a cup of coffee", "a dog", "一只猫"]
    logits = ask_library(tool, picture, texts)
    vector = tool.embed(picture)
    assert vector.dtype == np.float32
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    products = np.array([tool.embed_texts([text])[0] @ vector for text in texts])
    scale, bias = float(tool.model.logit_scale.exp()), float(getattr(tool.model, "logit_bias", 0))
    assert products * scale + bias == pytest.approx(logits, abs=1e-4)
    assert np.array_equal(tool.embed(picture), vector)


@pytest.mark.parametrize("name", NAMES)
def test_tags_are_known_words_the_surest_first(tools: dict[str, Clip], photo: Photo, name: str) -> None:
    tags = Clip(tools[name].model, tools[name].processor, tools[name].card, tuple(LABELS)[:20]).tag(photo("coffee", 64))
    assert 0 < len(tags) <= 12
    assert {tag.word for tag in tags} <= set(LABELS)
    assert [tag.score for tag in tags] == sorted((tag.score for tag in tags), reverse=True)
    assert all(0 < tag.score <= 1 for tag in tags)


def test_a_picture_nearer_to_good_words_scores_higher(tools: dict[str, Clip], photo: Photo) -> None:
    tool = tools["clip"]
    pictures = [photo(name, 64) for name in ("coffee", "chelsea", "astronaut", "rocket", "lake-sherburne")]
    scores = [tool.score(picture) for picture in pictures]
    assert all(0 <= score <= 1 for score in scores)
    margins = []
    for picture in pictures:
        products = np.array([tool.embed_texts([text])[0] @ tool.embed(picture) for text in (*GOOD, *BAD)])
        margins.append(np.mean(1 / (1 + np.exp(100 * (products[3:] - products[:3])))))
    assert scores == pytest.approx(margins, abs=1e-4)


def test_it_chooses_the_public_pictures_of_a_benchmark(
    tools: dict[str, Clip], twin: Callable[[str], Path], photo: Photo, tmp_path: Path
) -> None:
    for folder in ("requests", "public"):
        (tmp_path / folder).mkdir()
    for name in ("coffee", "chelsea", "rocket"):
        Image.fromarray(photo(name, 96)).save(tmp_path / f"public/{name}.png")
    asked = Image.fromarray(photo("lake-sherburne", 96))
    asked.save(tmp_path / "requests/mine.png")
    (tmp_path / "requests/mine.txt").write_text("make it night", encoding="utf-8")
    places = [str(tmp_path / "requests"), "--out", str(tmp_path / "work"), "--public", str(tmp_path / "public"), "--likeness", "0"]
    assert run(["bench", "build", "collect", *places, "--tool", f"similarity=clip:{twin('clip')}"]) == 0
    store = Store(tmp_path / "work")
    [candidate] = store.read()
    store.close()
    best = LocalSearch(tmp_path / "public", tools["clip"]).find(np.asarray(asked))[0]
    assert candidate.likeness == pytest.approx(best.likeness, abs=1e-4)
    offline = LocalSearch(tmp_path / "public", Toolbox.offline().similarity).find(np.asarray(asked))[0]
    assert candidate.likeness != pytest.approx(offline.likeness, abs=1e-3)


def test_a_text_that_is_too_long_is_cut_off(tools: dict[str, Clip]) -> None:
    assert np.isfinite(tools["clip"].embed_texts(["a cat " * 100])).all()


def test_texts_have_the_models_length_where_its_tokenizer_names_none(twin: Callable[[str], Path], photo: Photo, tmp_path: Path) -> None:
    copytree(twin("siglip"), tmp_path / "open")
    settings = tmp_path / "open" / "tokenizer_config.json"
    settings.write_text(json.dumps({**json.loads(settings.read_text()), "model_max_length": int(1e30)}))
    named, unnamed = (Clip.open(ToolChoice("clip", str(folder), device="cpu")) for folder in (twin("siglip"), tmp_path / "open"))
    assert np.array_equal(unnamed.embed_texts(["a cup of coffee"]), named.embed_texts(["a cup of coffee"]))
    assert np.array_equal(unnamed.embed_texts(["a cat " * 100]), named.embed_texts(["a cat " * 100]))
    assert unnamed.score(photo("coffee", 64)) == named.score(photo("coffee", 64))
