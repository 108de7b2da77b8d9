"""Triplets out of clips: what they show, say and remember, and that they can be made again."""

from __future__ import annotations

import json
import random
from pathlib import Path

import cv2
import numpy as np
import pytest
from moving_scenes import draw_frames, write_clip

from step1x_edit.data.building import build
from step1x_edit.data.clips import read_frames
from step1x_edit.data.deidentification import Switches
from step1x_edit.data.film import Film
from step1x_edit.data.instructions import CLAUSES, phrase
from step1x_edit.data.instructions.film import name_step
from step1x_edit.data.recipe import DataRecipe
from step1x_edit.data.remaking import name_tools, remake
from step1x_edit.data.routes.route import Unsuited
from step1x_edit.data.shards import read_records
from step1x_edit.data.tools.toolbox import Toolbox
from step1x_edit.data.triplet import Draft, Shape

SIZE = 128
SQUARE = (SIZE, SIZE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip in which a dog goes to the right, one in which nothing happens, and one that is none."""
    root = tmp_path_factory.mktemp("clips")
    write_clip(root / "walk.avi", draw_frames(lambda i: [(110 + 10 * i, 90, 64)], 10))
    write_clip(root / "still.avi", draw_frames(lambda i: [(110, 90, 64)], 6))
    (root / "broken.mp4").write_bytes(b"no film")
    return root


@pytest.fixture(scope="module")
def film(folder: Path) -> Film:
    return Film.open([folder], Toolbox.offline())


@pytest.mark.parametrize("shape", [SQUARE, (156, 104), (120, 136)])
def test_the_dog_has_moved_and_nothing_else(film: Film, folder: Path, shape: Shape) -> None:
    for seed in range(3):
        rng = random.Random(seed)
        draft = film.make(rng, shape)
        assert isinstance(draft, Draft)
        assert draft.source.shape == draft.target.shape == (*shape[::-1], 3)
        assert draft.touched is not None
        assert 0.02 < draft.touched.mean() < 0.6
        assert np.array_equal(draft.source[~draft.touched], draft.target[~draft.touched])
        assert np.abs(draft.source.astype(int) - draft.target)[draft.touched].mean() > 8
        parameters = json.loads(json.dumps(draft.parameters))
        left, top, width, height = (*parameters["crop"], parameters["crop"][-1])[:4]
        assert width / height == pytest.approx(shape[0] / shape[1], rel=0.02)
        frames = read_frames(folder / "walk.avi", parameters["frames"])
        parts = [cv2.resize(frame[top : top + height, left : left + width], shape) for frame in frames]
        assert np.abs(draft.source.astype(int) - parts[0]).mean() < 4
        assert np.abs(draft.target.astype(int) - parts[1]).mean() < 4
        english, chinese = phrase(rng, CLAUSES[draft.request.clauses], draft.request.en, draft.request.zh, "train")
        assert "right" in english
        assert "右" in chinese
        assert draft.edit.startswith("move")
        assert "right" in draft.edit


def test_clips_of_one_name_are_searched_apart(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "walk.avi").write_bytes((folder / "still.avi").read_bytes())
    film = Film.open([folder, tmp_path], Toolbox.offline())
    walks = [film.search(clip) for clip in film.clips if clip.name == "walk.avi"]
    assert [bool(search.pairs) for search in walks] == [True, False]


def test_provenance_names_clip_times_and_tools(film: Film) -> None:
    draft = film.make(random.Random(1), SQUARE)
    assert isinstance(draft, Draft)
    parameters = draft.parameters
    assert parameters["clip"]["file"] == parameters["photograph"] == "walk.avi"
    assert len(parameters["clip"]["sha256"]) == 64
    first, second = parameters["seconds"]
    assert second - first == pytest.approx((parameters["frames"][1] - parameters["frames"][0]) / 8, abs=0.01)
    assert parameters["tools"]["flow"]["name"] == "dis"
    assert "matting" not in parameters["tools"]


def test_the_same_choices_give_the_same_draft(film: Film, folder: Path) -> None:
    one, other = film.make(random.Random(7), SQUARE), Film.open([folder], Toolbox.offline()).make(random.Random(7), SQUARE)
    assert isinstance(one, Draft)
    assert isinstance(other, Draft)
    assert np.array_equal(one.target, other.target)
    assert one.parameters == other.parameters


def test_clips_that_give_nothing_say_why(film: Film, folder: Path) -> None:
    reasons = {clip.name: film.search(clip).refused for clip in film.clips}
    assert reasons["broken.mp4"] == {"the clip cannot be decoded": 1}
    assert set(reasons["still.avi"]) == {"nothing moves"}
    refused = Film([clip for clip in film.clips if clip.name == "still.avi"], Toolbox.offline()).make(random.Random(0), SQUARE)
    assert isinstance(refused, Unsuited)
    assert refused.reason == "no pair of frames in the clip: nothing moves"


def test_what_is_to_be_hidden_is_not_shown(tmp_path: Path) -> None:
    frames = draw_frames(lambda i: [(10 + 8 * i, 20, 60)], 8, background="astronaut")
    write_clip(tmp_path / "face.avi", frames)
    shown = [Film.open([tmp_path], Toolbox.offline(), switches).make(random.Random(0), SQUARE) for switches in (None, Switches(faces=True))]
    assert isinstance(shown[0], Draft)
    assert shown[1] == Unsuited("it shows what is to be hidden")


def test_a_recipe_with_clips_builds_from_them_and_any_triplet_is_made_again(recipe: DataRecipe, folder: Path, tmp_path: Path) -> None:
    values = recipe.model_dump(mode="json")
    changes = {"count": 2, "categories": {"motion_change": {"share": 1}}, "videos": [str(folder)], "from_videos": 1.0}
    limits = {**values["limits"], "distance": 0}
    out = tmp_path / "set"
    facts = build(DataRecipe.model_validate({**values, **changes, "limits": limits}), out)
    assert (facts["count"], facts["routes"]) == (2, {"filmed": 2})
    for record, _ in read_records(out):
        assert record.provenance["route"] == "filmed"
        assert record.provenance["clip"]["file"] == "walk.avi"
        again = remake(out, record.id)
        assert again.known
        assert again.differing == ()
        assert again.versions == ()
        assert name_tools(record.parameters)["the flow"].startswith("dis, opencv")


@pytest.mark.parametrize(
    ("step", "named"),
    [
        ((0.05, 0.0), ("right a little", "a little to the right", "向右移一点")),
        ((-0.2, 0.03), ("left", "to the left", "向左移动")),
        ((0.0, -0.5), ("up far", "far up", "向上移很远")),
        ((0.1, 0.12), ("down right", "down and to the right", "向右下方移动")),
    ],
)
def test_steps_are_named_by_direction_and_distance(step: tuple[float, float], named: tuple[str, str, str]) -> None:
    assert name_step(*step) == named
