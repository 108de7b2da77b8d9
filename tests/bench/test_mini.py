"""gedit-mini and its scorer: leaving a picture fails, the true result passes, and a run offline goes from nothing to figures."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from step1x_edit.bench.gedit import LANGUAGES, TASKS, BenchCase, StoredFile, place_result, read_cases
from step1x_edit.bench.mini import make_mini
from step1x_edit.bench.reference import open_reader, score_result, score_results
from step1x_edit.cli.main import run
from step1x_edit.errors import UsageError
from step1x_edit.image_io import read_image

ROOT = Path(__file__).parents[2]
MATERIALS = ([ROOT / "examples" / "photos"], [ROOT / "examples" / "cutouts"], ROOT / "recipes" / "mini_heldout.toml")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mini")
    make_mini(folder, *MATERIALS, per_task=1, size=128)
    return folder


@pytest.fixture(scope="module")
def cases(place: Path) -> list[BenchCase]:
    return read_cases(str(place))


def picture(stored) -> Image.Image:
    return read_image(stored.read()).image


def test_every_task_is_asked_in_both_languages(cases: list[BenchCase], place: Path) -> None:
    assert {(case.task, case.language) for case in cases} == {(task, language) for task in TASKS for language in LANGUAGES}
    chinese = [case.instruction for case in cases if case.language == "cn"]
    assert all(any("一" <= c <= "鿿" for c in text) for text in chinese)
    before = (place / "cases.jsonl").read_bytes()
    assert make_mini(place, *MATERIALS, per_task=1, size=128) == 11
    assert (place / "cases.jsonl").read_bytes() == before
    with pytest.raises(UsageError, match="other cases"):
        make_mini(place, *MATERIALS, per_task=2, size=128)


def test_leaving_it_fails_and_the_truth_passes(cases: list[BenchCase]) -> None:
    for case in cases[::2]:
        left = score_result(case, picture(case.source))
        true = score_result(case, picture(case.truth["target"]))
        assert (left["success"], left["squared"]) == (0, 1)
        assert (true["success"], true["ssim"]) == (1, 1)
        assert left["ssim"] < 1
        if "outside" in true:
            assert true["outside"] == left["outside"] == 60


def test_damage_outside_is_seen(cases: list[BenchCase]) -> None:
    case = next(case for case in cases if case.task == "subject-add")
    target = np.asarray(picture(case.truth["target"])).copy()
    region = np.asarray(picture(case.truth["region"]).convert("L")) > 127
    target[~region] = np.clip(target[~region].astype(int) + 10, 0, 255)
    found = score_result(case, Image.fromarray(target))
    assert found["success"] == 1
    assert found["outside"] == pytest.approx(28.1, abs=0.6)  # 10 of 255


def test_a_result_of_another_size_is_scored(cases: list[BenchCase]) -> None:
    case = cases[0]
    larger = picture(case.truth["target"]).resize((300, 300), Image.Resampling.BICUBIC)
    assert score_result(case, larger)["success"] == 1


def test_a_damaged_result_is_missing_and_the_others_are_scored(cases: list[BenchCase], tmp_path: Path) -> None:
    for case in cases[:2]:
        place = place_result(tmp_path, case.name)
        place.parent.mkdir(parents=True, exist_ok=True)
        picture(case.truth["target"]).save(place)
    damaged = place_result(tmp_path, cases[0].name)
    damaged.write_bytes(damaged.read_bytes()[:-200])
    found = score_results(cases[:2], tmp_path)
    assert [*found.values["success"]] == [cases[1].name] and "cannot be read" in found.missing[cases[0].name]


def test_words_are_read() -> None:
    from step1x_edit.data.lettering import letter

    read = open_reader()
    canvas = np.full((128, 128, 3), 230, np.uint8)
    from step1x_edit.data.compositing import paste

    paste(canvas, letter("OPEN", 40, 110, (20, 20, 20)), 10, 40)
    assert "OPEN" in read(canvas).upper().split()
    assert read(np.full((128, 128, 3), 230, np.uint8)) == ""


def test_cases_without_truth_cannot_be_scored_so(make_cases) -> None:
    case = make_cases(1, ("ps_human",))[0]
    with pytest.raises(UsageError, match="true result"):
        score_result(case, picture(case.source))


@pytest.mark.parametrize(("damage", "sentence"), [("small", "differ in size"), ("cut", "cannot be read"), ("none", "is its source")])
@pytest.mark.parametrize("which", ["target", "region"])
def test_a_truth_that_is_none_is_one_sentence(cases: list[BenchCase], tmp_path: Path, which: str, damage: str, sentence: str) -> None:
    case = cases[0]
    file, whole = tmp_path / "a.png", picture(case.truth[which])
    none = picture(case.source) if which == "target" else Image.new("L", whole.size)
    {"small": whole.resize((64, 64)), "cut": whole, "none": none}[damage].save(file)
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:-40])
    case = replace(case, truth={**case.truth, which: StoredFile(file)})
    place = place_result(tmp_path, case.name)
    place.parent.mkdir(parents=True)
    picture(case.source).save(place)
    with pytest.raises(UsageError, match=rf"{'/'.join(case.name)} .*{sentence}"):
        score_results([case], tmp_path)


def test_offline_from_nothing_to_figures(place: Path, tmp_path: Path, random_mini: Path, capsys: pytest.CaptureFixture[str]) -> None:
    some = ["--cases", str(place), "--out", str(tmp_path), "--task", "subject-add", "--task", "tone_transfer", "--language", "en"]
    assert run(["bench", "run", "leave-as-is", *some]) == 0
    assert run(["bench", "run", "step1x:mini", "--weights", str(random_mini), "--device", "cpu", *some]) == 0
    capsys.readouterr()
    assert run(["bench", "score", str(tmp_path), "--cases", str(place), "--judge", "reference", "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    left = summary["systems"]["leave-as-is"]
    assert left["views"]["en"]["success"]["value"] == 0
    assert left["views"]["en"]["outside"]["value"] == 60
    assert len(left["missing"]) == 20
    assert summary["pairs"]["ssim"][0]["losses"] + summary["pairs"]["ssim"][0]["wins"] == 2
