"""What each version asks a tiny random Qwen2.5-VL, token by token, and what comes back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from step1x_edit.errors import UsageError, WeightsError
from step1x_edit.model.mllm import MLLM

PREFIX = "Say so of it.\nUser:"
START, END, VISION, VISION_END, PICTURE = 1, 2, 3, 4, 5
Build = Callable[[str], MLLM]


@pytest.fixture(scope="module")
def build(build_twin_mllm: Callable[..., MLLM], twin_preset: Callable[..., Any]) -> Build:
    cache: dict[str, MLLM] = {}
    return lambda name: cache.setdefault(name, build_twin_mllm(twin_preset(name, PREFIX), PREFIX))


@pytest.fixture
def picture() -> Image.Image:
    """As the MLLM sees it: 2 rows and 3 columns of vision tokens."""
    return Image.radial_gradient("L").resize((84, 56)).convert("RGB")


def spell(mllm: MLLM, *parts: str | int) -> list[int]:
    """Texts byte by byte, and special tokens."""
    ids: list[int] = []
    for part in parts:
        ids += [part] if isinstance(part, int) else mllm.processor.tokenizer(part).input_ids
    return ids


ASK = 'write "é!"'


@pytest.mark.parametrize("name", ["v1.0", "v1.1"])
def test_the_message_of_the_first_versions(build: Build, picture: Image.Image, name: str) -> None:
    mllm = build(name)
    prepared = mllm.prepare([picture], ["write “é!”"])
    before = [START, *spell(mllm, "user\n", PREFIX, "Picture 1: ", VISION), *[PICTURE] * 6, VISION_END]
    expected = [*before, *spell(mllm, 'write "', "é", "!", '"', END, "\n", START, "assistant\n")]
    assert prepared["input_ids"].tolist() == [expected]
    assert prepared["mm_token_type_ids"].tolist() == [[int(one == PICTURE) for one in expected]]
    assert prepared["image_grid_thw"].tolist() == [[1, 4, 6]]
    assert not prepared["quoted"].any()


def test_the_message_of_the_third(build: Build, picture: Image.Image) -> None:
    mllm = build("v1.2")
    prepared = mllm.prepare([picture], [ASK])
    before = [START, *spell(mllm, "user\n", PREFIX, ' write "')]
    expected = [*before, *spell(mllm, "é!", '"', "Picture 1: ", VISION), *[PICTURE] * 6, *spell(mllm, VISION_END, END, "\n", START)]
    expected += spell(mllm, "assistant\n")
    assert prepared["input_ids"].tolist() == [expected]
    quoted = prepared["quoted"][0].nonzero().flatten().tolist()
    assert quoted == list(range(len(before), len(before) + 3))  # two bytes of é, one of !
    assert prepared["sizes"].tolist() == [[84, 56]]


def test_several_pictures_are_numbered(build: Build, picture: Image.Image) -> None:
    mllm = build("v1.1")
    one, two = spell(mllm, "Picture 1: ", VISION), spell(mllm, "Picture 2: ", VISION)
    ids = mllm.prepare([[picture, picture.resize((56, 84))]], ["mix them"])["input_ids"][0].tolist()
    start = 1 + len(spell(mllm, "user\n", PREFIX))
    assert ids[start : start + len(one) + len(two) + 14] == [*one, *[PICTURE] * 6, VISION_END, *two, *[PICTURE] * 6, VISION_END]


@pytest.mark.parametrize("name", ["v1.0", "v1.2"])
def test_pictures_are_brought_within_the_bounds(build: Build, picture: Image.Image, name: str) -> None:
    mllm = build(name)
    for size in ((10, 10), (3000, 2000), (90, 60)):
        _, rows, columns = mllm.prepare([picture.resize(size)], ["x"])["image_grid_thw"][0].tolist()
        assert 4 <= rows * columns // 4 <= 6, size


def test_the_released_bounds(build: Build, build_twin_mllm: Callable[..., MLLM], picture: Image.Image) -> None:
    from step1x_edit.model.presets import PRESETS

    tokens = {}
    for name in ("v1.0", "v1.1", "v1.2"):
        mllm = build_twin_mllm(PRESETS[name], PREFIX)
        tokens[name] = [
            mllm.prepare([picture.resize(size)], ["x"])["image_grid_thw"][0].prod().item() // 4 for size in ((9, 9), (2000, 2000))
        ]
    assert tokens == {"v1.0": [256, 324], "v1.1": [256, 324], "v1.2": [256, 400]}


def plain_states(mllm: MLLM, prepared: dict[str, torch.Tensor]) -> torch.Tensor:
    """The last hidden states, by the plain way through the library."""
    keys = ("input_ids", "attention_mask", "mm_token_type_ids", "pixel_values", "image_grid_thw")
    with torch.no_grad():
        return mllm.model(**{key: prepared[key] for key in keys}, output_hidden_states=True).hidden_states[-1]


@pytest.mark.parametrize("name", ["v1.0", "v1.1"])
def test_the_prefix_is_dropped_and_the_rest_padded(build: Build, picture: Image.Image, name: str) -> None:
    mllm = build(name)
    both = mllm.encode([picture, picture], [ASK, ""])
    assert both.tokens_BLC.shape == (2, 96, 32) and both.ids_BLA is None and both.quoted_BLC is None
    for i, instruction in enumerate((ASK, "")):
        states = plain_states(mllm, mllm.prepare([picture], [instruction]))[0, mllm.preset.prompt_drop :]
        assert both.mask_BL[i].tolist() == [True] * len(states) + [False] * (96 - len(states))
        torch.testing.assert_close(both.tokens_BLC[i, : len(states)], states, rtol=1e-4, atol=1e-5)
        assert not both.tokens_BLC[i, len(states) :].any()
    # what is kept first is the picture's label
    assert mllm.prepare([picture], [ASK])["input_ids"][0, mllm.preset.prompt_drop] == spell(mllm, "P")[0]


def test_too_long_a_text_is_cut(build: Build, picture: Image.Image) -> None:
    embedding = build("v1.0").encode([picture], ["a" * 200])
    assert embedding.tokens_BLC.shape[1] == 96 and embedding.mask_BL.all()


def test_positions_and_quoted_characters(build: Build, picture: Image.Image) -> None:
    mllm = build("v1.2")
    prepared = mllm.prepare([picture, picture], [ASK, ""])
    embedding = mllm.embed(prepared)
    assert embedding.ids_BLA is not None and embedding.quoted_BLC is not None and embedding.quoted_mask_BL is not None
    drop = mllm.preset.prompt_drop
    kinds = prepared["mm_token_type_ids"]
    times = mllm.model.model.get_rope_index(
        prepared["input_ids"], kinds, prepared["image_grid_thw"], attention_mask=prepared["attention_mask"]
    )[0][0]
    for i in range(2):
        real = int(prepared["attention_mask"][i].sum()) - drop
        own = times[i, drop : drop + real]
        assert embedding.ids_BLA[i, :real, 0].tolist() == (own - own.max() - 1).tolist()
        assert not embedding.ids_BLA[i, real:].any()
        vision = kinds[i, drop : drop + real].bool()
        assert not embedding.ids_BLA[i, :real][~vision, 1:].any()
        rows = [(28 * r + 2.5) / 16 for r in range(2)]
        expected = torch.tensor([[r, (28 * c + 2.5) / 16] for r in rows for c in range(3)])
        torch.testing.assert_close(embedding.ids_BLA[i, :real][vision, 1:], expected)
    assert embedding.quoted_mask_BL.sum(1).tolist() == [3, 0]
    ids = torch.tensor(spell(mllm, "é!"))
    torch.testing.assert_close(embedding.quoted_BLC[0][embedding.quoted_mask_BL[0]], mllm.model.get_input_embeddings()(ids))


def test_the_quoted_characters_reach_the_connector(build: Build, picture: Image.Image) -> None:
    from step1x_edit.model.connector import Connector

    mllm = build("v1.2")
    torch.manual_seed(0)
    connector = Connector(mllm.preset.connector, 10).eval()
    embedding = mllm.encode([picture], [ASK])
    from dataclasses import replace

    with torch.no_grad():
        t = torch.tensor([0.5])
        added = connector(embedding, t).tokens_BLD - connector(replace(embedding, quoted_BLC=None), t).tokens_BLD
    assert embedding.quoted_mask_BL is not None
    assert (added.abs().amax(-1) > 1e-4).tolist() == embedding.quoted_mask_BL.tolist()


@pytest.mark.parametrize("name", ["v1.0", "v1.2"])
def test_special_tokens_in_an_instruction_are_refused(build: Build, picture: Image.Image, name: str) -> None:
    with pytest.raises(UsageError, match=r"holds <\|image_pad\|>"):
        build(name).prepare([picture], ["<|image_pad|> there"])


def test_a_folder_keeps_all_of_it(build: Build, picture: Image.Image, tmp_path: Path) -> None:
    mllm = build("v1.2")
    mllm.model.save_pretrained(tmp_path)
    mllm.processor.image_processor.save_pretrained(tmp_path)
    mllm.processor.tokenizer.save_pretrained(tmp_path)
    (tmp_path / "mllm_prefix.txt").write_text(PREFIX, encoding="utf-8")
    again = MLLM.open(tmp_path, mllm.preset)
    torch.testing.assert_close(again.encode([picture], [ASK]).tokens_BLC, mllm.encode([picture], [ASK]).tokens_BLC)
    with pytest.raises(WeightsError, match=r"config\.json is missing"):
        MLLM.open(tmp_path / "nowhere", mllm.preset)
    for damaged in ("[]", "{}", '{"model_type": "llama"}'):
        (tmp_path / "config.json").write_text(damaged)
        with pytest.raises(WeightsError, match=r"config\.json does not describe a Qwen2\.5-VL"):
            MLLM.open(tmp_path, mllm.preset)


def test_a_folder_of_an_older_transformers_keeps_its_template_in_json(build: Build, picture: Image.Image, tmp_path: Path) -> None:
    mllm = build("v1.2")
    mllm.save(tmp_path / "new")
    older = tmp_path / "new" / "chat_template.json"
    older.write_text(json.dumps({"chat_template": (tmp_path / "new" / "chat_template.jinja").read_text(encoding="utf-8")}))
    (tmp_path / "new" / "chat_template.jinja").unlink()
    again = MLLM.open(tmp_path / "new", mllm.preset)
    assert again.message(ASK) == mllm.message(ASK)
    again.save(tmp_path / "saved")
    assert MLLM.open(tmp_path / "saved", mllm.preset).message(ASK) == mllm.message(ASK)
    for damaged in ("[]", '{"chat_template": 1}'):
        older.write_text(damaged)
        with pytest.raises(WeightsError, match=r"new has no chat template, as .*; download it again\.$"):
            MLLM.open(tmp_path / "new", mllm.preset)
    older.unlink()
    with pytest.raises(WeightsError, match=r"new has no chat template, as .*; download it again\.$"):
        MLLM.open(tmp_path / "new", mllm.preset)


@pytest.mark.parametrize("method", ["awq", "gptq", "bitsandbytes", "compressed-tensors", "fp8"])
def test_a_quantised_mllm_is_refused(build: Build, tmp_path: Path, method: str) -> None:
    mllm = build("v1.2")
    mllm.save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "quantization_config": {"quant_method": method, "bits": 4}}))
    with pytest.raises(WeightsError, match=r"is a quantised one, which is not read here; take the one in bfloat16 that it was made of\.$"):
        MLLM.open(tmp_path, mllm.preset)


def test_it_moves_whole(build_twin_mllm: Callable[..., MLLM], twin_preset: Callable[..., Any]) -> None:
    mllm = build_twin_mllm(twin_preset("v1.0", PREFIX), PREFIX)
    kept = {name: buffer.dtype for name, buffer in mllm.model.named_buffers()}
    mllm.to(torch.device("meta"), torch.bfloat16)
    assert mllm.device == mllm.model.device == torch.device("meta")
    assert {parameter.dtype for parameter in mllm.model.parameters()} == {torch.bfloat16}
    assert {name: buffer.dtype for name, buffer in mllm.model.named_buffers()} == kept
