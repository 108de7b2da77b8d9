"""`step1x edit` as a user meets it: results beside the picture, and a sentence for whatever cannot be done."""

from __future__ import annotations

import os
import pty
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
import torch
from PIL import ExifTags, Image
from safetensors.torch import save_file

from step1x_edit import __version__
from step1x_edit.model.fingerprint import fingerprint
from step1x_edit.model.presets import PRESETS
from step1x_edit.settings import read_settings

Run = Callable[..., subprocess.CompletedProcess[str]]


def assert_refused(done: subprocess.CompletedProcess[str], code: int, sentence: str) -> None:
    assert sentence in done.stderr
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith("step1x: ") and done.stderr.endswith(".\n") and done.stderr.count("\n") == 1


def test_how_a_photograph_was_taken_stays_with_its_edits(step1x: Run, tmp_path: Path, random_mini: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Copyright] = "CC0"
    exif[ExifTags.Base.Orientation] = 6
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2024:05:01 10:20:30"
    for name in ("a.jpg", "b.jpg"):
        Image.new("RGB", (40, 30), "red").save(tmp_path / name, exif=exif)
    words = ("make it night", "--weights", random_mini)
    done = step1x("edit", tmp_path / "a.jpg", tmp_path / "b.jpg", *words, "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert step1x("edit", tmp_path / "a.jpg", *words, "--no-exif", "-o", tmp_path / "bare.jpg").returncode == 0
    assert step1x("edit", tmp_path / "a.jpg", *words, "-o", tmp_path / "one.jpg").returncode == 0
    for path in (tmp_path / "out" / "a.png", tmp_path / "out" / "b.png", tmp_path / "one.jpg", tmp_path / "bare.jpg"):
        with Image.open(path) as image:
            found = image.getexif()
            taken = found.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.DateTimeOriginal)
            told = (image.size, found.get(ExifTags.Base.Orientation), found.get(ExifTags.Base.Copyright), taken)
        kept = path.name != "bare.jpg"
        assert told == ((30, 40), None, "CC0" if kept else None, "2024:05:01 10:20:30" if kept else None)


def test_results_lie_beside_the_picture(step1x: Run, photo: Path, random_mini: Path) -> None:
    done = step1x(
        "edit", photo, "make it night", "--weights", random_mini, "-n", "2", "--seed", "7", "--compare", photo.with_name("both.jpg")
    )
    names = ["photo-edited.png", "photo-edited-2.png", "both.jpg"]
    assert (done.returncode, done.stdout.split()) == (0, [str(photo.with_name(name)) for name in names]), done.stderr
    assert done.stderr.startswith("Done in ") and done.stderr.count("\n") == 1
    assert {path.name for path in photo.parent.iterdir()} == {"photo.png", *names}
    records = []
    for name in names[:2]:
        with Image.open(photo.with_name(name)) as image:
            assert image.size == (300, 200)
            records.append(image.text)
    assert records[0] == {
        "Software": f"step1x-edit {__version__}",
        "step1x:instruction": "make it night",
        "step1x:model": "mini",
        "step1x:seed": "7",
        "step1x:steps": "1",
        "step1x:guidance": "1.2",
        "step1x:size": "64",
        "step1x:strength": "1.0",
        "step1x:guidance_limit": "1.0",
        "step1x:weights": fingerprint(random_mini, PRESETS["mini"]),
    }
    assert records[1] == {**records[0], "step1x:seed": "8"}
    assert photo.with_name(names[0]).read_bytes() != photo.with_name(names[1]).read_bytes()
    with Image.open(photo.with_name("both.jpg")) as image:
        assert image.width > 900


def test_an_edit_is_made_again_from_its_file(step1x: Run, photo: Path, random_mini: Path) -> None:
    first, again, other, bare = (photo.with_name(name) for name in ("first.jpg", "again.jpg", "other.png", "bare.webp"))
    box = ("--box", "10,10,100,100")
    asked = (
        photo,
        "把它变成夜晚",
        "--seed",
        "7",
        "--steps",
        "6",
        "--strength",
        "0.5",
        "--cache",
        "every:2",
        *box,
        "--zoom",
        "--feather",
        "5",
    )
    assert step1x("edit", *asked, "--weights", random_mini, "-o", first).returncode == 0
    assert_refused(step1x("edit", photo, "--like", first), 2, "was made within a mask")
    done = step1x("edit", photo, "--like", first, *box, "--weights", random_mini, "-o", again)
    assert done.returncode == 0 and "把它变成夜晚" in done.stderr
    assert again.read_bytes() == first.read_bytes() and "other weights" not in done.stderr
    assert step1x("edit", photo, "make it day", "--like", again, *box, "--seed", "8", "--weights", random_mini, "-o", other).returncode == 0
    found = read_settings(other)
    assert (found.options["instruction"], found.options["seed"], found.options["steps"]) == ("make it day", 8, 6)
    assert found.cache == "every:2" and found.options["zoom"] and found.options["feather"] == 5
    assert_refused(step1x("edit", photo, "make it night", "--zoom"), 2, "There is no mask to zoom in on")
    narrow, again = photo.with_name("narrow.png"), photo.with_name("narrow-again.png")
    assert step1x("edit", photo, "--like", first, *box, "--weights", random_mini, "--weights-dtype", "int4", "-o", narrow).returncode == 0
    assert step1x("edit", photo, "--like", narrow, *box, "--weights", random_mini, "-o", again).returncode == 0
    assert read_settings(narrow).weights_dtype == "int4" and again.read_bytes() == narrow.read_bytes() != first.read_bytes()
    done = step1x("edit", photo, "--like", first, *box, "--no-settings", "-o", bare)  # with the embedded model's own weights
    assert done.returncode == 0 and "made with other weights of mini" in done.stderr
    assert_refused(step1x("edit", photo, "--like", bare), 2, "holds no settings")


def test_an_edit_with_adapters_is_made_again_with_them_alone(step1x: Run, photo: Path, random_mini: Path) -> None:
    key, adapter = "lora_unet_double_blocks_0_img_attn_qkv", photo.with_name("warm.safetensors")
    save_file({f"{key}.lora_down.weight": torch.ones(2, 192), f"{key}.lora_up.weight": torch.ones(576, 2)}, adapter)
    first, again = photo.with_name("first.png"), photo.with_name("again.png")
    assert step1x("edit", photo, "make it warm", "--lora", f"{adapter}:0.5", "--weights", random_mini, "-o", first).returncode == 0
    assert_refused(step1x("edit", photo, "--like", first), 2, "give them, as --lora warm.safetensors:0.5.")
    done = step1x("edit", photo, "--like", first, "--lora", f"{adapter}:0.5", "--weights", random_mini, "-o", again)
    assert done.returncode == 0 and again.read_bytes() == first.read_bytes()


def test_a_name_that_is_no_text_is_kept(photo: Path, random_mini: Path) -> None:
    odd = Path(os.fsdecode(os.fsencode(photo.parent) + b"/caf\xe9.png"))
    photo.rename(odd)
    command = [Path(sys.executable).with_name("step1x"), "edit", odd, "make it night", "--steps", "1", "--weights", random_mini]
    done = subprocess.run(command, capture_output=True, timeout=200, check=False)
    assert (done.returncode, done.stdout) == (0, os.fsencode(odd.with_stem(f"{odd.stem}-edited")) + b"\n"), done.stderr
    assert odd.with_stem(f"{odd.stem}-edited").is_file()


def test_raw_is_what_the_model_drew_and_overwrite_replaces(step1x: Run, photo: Path, random_mini: Path) -> None:
    out = photo.with_name("out.webp")
    out.write_bytes(b"old")
    done = step1x("edit", photo, "变成夜晚", "--weights", random_mini, "-o", out, "--overwrite", "--raw", "--size", "64", "--steps", "1")
    assert (done.returncode, done.stdout) == (0, f"{out}\n"), done.stderr
    with Image.open(out) as image:
        assert image.size == (72, 48)


def test_bad_pictures(step1x: Run, photo: Path, scene: Image.Image, png_with_header: Callable[[int, int], bytes]) -> None:
    jpeg, tiff = BytesIO(), BytesIO()
    scene.save(jpeg, "JPEG")
    scene.save(tiff, "TIFF", compression="tiff_lzw")
    pictures = {
        "empty.png": (b"", "is empty"),
        "text.png": (b"I am a letter, not a picture.", "is not a whole picture"),
        "huge.png": (png_with_header(60_000, 60_000), "more than 120 million pixels"),
        "cut.jpg": (jpeg.getvalue()[:-3000], "is damaged or cut off"),
        "bad.tiff": (
            tiff.getvalue()[:8] + bytes(400) + tiff.getvalue()[408:],
            "is damaged or cut off",
        ),  # of which the TIFF library complains
    }
    for name, (content, sentence) in pictures.items():
        photo.with_name(name).write_bytes(content)
        assert_refused(step1x("edit", photo.with_name(name), "make it night"), 1, sentence)


def test_what_is_no_picture_file(step1x: Run, photo: Path) -> None:
    os.mkfifo(photo.with_name("pipe.png"))
    assert_refused(step1x("edit", photo.with_name("missing.png"), "make it night"), 1, "There is no file")
    assert_refused(step1x("edit", photo, "make it night", "--mask", photo.parent), 1, "is a folder")
    assert_refused(step1x("edit", photo.with_name("pipe.png"), "make it night"), 1, "is not a regular file")
    assert_refused(step1x("edit", "/dev/zero", "make it night"), 1, "is not a regular file")


@pytest.mark.parametrize(
    ("options", "code", "sentence"),
    [
        (["--steps", "0"], 2, "Steps must be at least 1"),
        (["--steps", "1000000000000"], 2, "at most 100000"),
        (["--guidance", "-1"], 2, "Guidance must lie between"),
        (["--guidance", "nan"], 2, "Guidance must lie between"),
        (["--size", "10"], 2, "Size must lie between"),
        (["--seed", "-1"], 2, "The seed must lie between"),
        (["-o", "out.xyz"], 2, "end it in one of"),
        (["-o", "no/such/folder/out.png"], 2, "does not exist"),
        (["-o", "photo.png"], 2, "exists already"),
        (["-o", "a.png", "--compare", "a.png"], 2, "would both be written"),
        (["--compare", "photo.png"], 2, "exists already"),
        (["-o", "/dev/null"], 2, "end it in one of"),
        (["--model", "maxi"], 2, "choose one of"),
        (["--weights", "nowhere"], 1, "The weights of mini are not in nowhere"),
    ],
)
def test_bad_options(step1x: Run, photo: Path, random_mini: Path, options: list[str], code: int, sentence: str) -> None:
    weights = [] if "--weights" in options else ["--weights", str(random_mini)]
    assert_refused(step1x("edit", "photo.png", "make it night", *weights, *options, cwd=photo.parent), code, sentence)
    assert os.listdir(photo.parent) == ["photo.png"]


def test_a_comparison_does_not_replace_the_result_by_another_path_to_it(step1x: Run, photo: Path, random_mini: Path) -> None:
    words = ["photo.png", "make it night", "--weights", random_mini, "-o", "a.png", "--overwrite"]
    done = step1x("edit", *words, "--compare", f"../{photo.parent.name}/a.png", cwd=photo.parent)
    assert_refused(done, 2, "would both be written")


@pytest.mark.parametrize(("instruction", "sentence"), [("", "is empty"), (" \n", "is empty"), ("a" * 2001, "2001 characters")])
def test_bad_instructions(step1x: Run, photo: Path, instruction: str, sentence: str) -> None:
    assert_refused(step1x("edit", photo, instruction), 2, sentence)


def test_an_instruction_that_is_no_text(photo: Path) -> None:
    command = [os.fsencode(Path(sys.executable).with_name("step1x")), b"edit", os.fsencode(photo), b"caf\xe9"]
    done = subprocess.run(command, capture_output=True, timeout=200, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(b"step1x: The instruction is not valid text") and done.stderr.count(b"\n") == 1


def test_a_full_disk_leaves_nothing_behind(step1x: Run, photo: Path, random_mini: Path, full_disk: Path) -> None:
    done = step1x("edit", photo, "make it night", "--weights", random_mini, "-o", full_disk / "out.png")
    assert_refused(done, 1, "could not be written (No space left on device); nothing was left behind")
    assert os.listdir(full_disk) == []


def test_a_limit_on_file_sizes_leaves_nothing_behind(step1x: Run, photo: Path, random_mini: Path) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (16_000, 16_000))

    out = photo.with_name("out.png")
    done = step1x("edit", photo, "make it night", "--weights", random_mini, "-o", out, preexec_fn=limit)
    assert_refused(done, 1, "could not be written (File too large)")
    assert os.listdir(photo.parent) == ["photo.png"]


def test_a_read_only_folder(step1x: Run, photo: Path, read_only: Path) -> None:
    assert_refused(step1x("edit", photo, "make it night", "-o", read_only / "out.png"), 2, "is not writable")


def test_a_damaged_weights_file(step1x: Run, photo: Path, random_mini: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(random_mini, broken)
    model = broken / "model.safetensors"
    model.write_bytes(model.read_bytes()[:-1000])
    assert_refused(step1x("edit", photo, "make it night", "--weights", broken), 1, "model.safetensors")


def test_a_note_is_said_once(step1x: Run, photo: Path, still_mini: Path) -> None:
    path = photo.with_name("moving.gif")
    Image.open(photo).save(path, save_all=True, append_images=[Image.new("RGB", (300, 200))])
    done = step1x("edit", path, "make it night", "--weights", still_mini, "-o", photo.with_name("still.jpg"), "--steps", "1")
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[0] == "Note: Only the first of its frames or pages is edited."
    assert len(done.stderr.splitlines()) == 2


def test_a_terminal_shows_progress_and_ctrl_c_ends_it(photo: Path, random_mini: Path) -> None:
    controller, terminal = pty.openpty()
    command = [Path(sys.executable).with_name("step1x"), "edit", photo, "make it night", "--weights", random_mini, "--steps", "100000"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TERM": "xterm", "COLUMNS": "100"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=terminal, env=environment)
    os.close(terminal)
    try:
        shown, deadline = b"", time.monotonic() + 200
        while b"/100000" not in shown:
            assert time.monotonic() < deadline, shown
            shown += os.read(controller, 4096)
        assert b"Loading mini" in shown
        process.send_signal(signal.SIGINT)
        rest = b""
        while True:
            try:
                rest += os.read(controller, 4096)
            except OSError:  # the terminal closes with the process
                break
        assert process.wait(60) == 130
        assert rest.rstrip().endswith(b"step1x: Interrupted.")
        assert b"Traceback" not in rest
        assert process.stdout is not None and process.stdout.read() == b""
        process.stdout.close()
        os.close(controller)
    finally:
        process.kill()  # one that does not end would take a core from the tests that follow
        process.wait()
    assert os.listdir(photo.parent) == ["photo.png"]
