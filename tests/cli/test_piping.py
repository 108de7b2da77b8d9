"""Pictures on standard input and standard output of `step1x edit`."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from step1x_edit.image_io import read_image

STEP1X = Path(sys.executable).with_name("step1x")
SMALL = ("--steps", "1", "--size", "64")


def pipe(*arguments: str | Path, data: bytes = b"", cwd: Path) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run([STEP1X, *arguments], input=data, capture_output=True, timeout=240, env=environment, cwd=cwd, check=False)


def test_pictures_go_from_one_edit_to_the_next(
    step1x: Callable[..., subprocess.CompletedProcess[str]], photo: Path, random_mini: Path
) -> None:
    way = ("--weights", random_mini, *SMALL)
    first = pipe("edit", "-", "make it night", *way, "-o", "-", data=photo.read_bytes(), cwd=photo.parent)
    assert first.returncode == 0 and os.listdir(photo.parent) == ["photo.png"], first.stderr
    named = photo.with_name("night.png")
    assert step1x("edit", photo, "make it night", *way, "-o", named).returncode == 0
    assert first.stdout == named.read_bytes()
    compared = pipe("edit", photo, "make it night", *way, "-o", "-", "--compare", "both.png", cwd=photo.parent)
    assert compared.stdout == first.stdout and photo.with_name("both.png").is_file()
    second = pipe("edit", "-", "make it day", *way, "-o", "-", data=first.stdout, cwd=photo.parent)
    with Image.open(BytesIO(second.stdout)) as image:
        assert image.size == (300, 200) and image.text["step1x:instruction"] == "make it day"


def test_without_a_name_the_result_lies_in_the_working_folder(photo: Path, random_mini: Path) -> None:
    data = photo.read_bytes()
    photo.unlink()
    done = pipe("edit", "-", "make it night", "--weights", random_mini, *SMALL, data=data, cwd=photo.parent)
    assert (done.returncode, done.stdout) == (0, b"stdin-edited.png\n"), done.stderr
    before, after = np.asarray(read_image(data).image), np.asarray(read_image(photo.with_name("stdin-edited.png")).image)
    assert before.shape == after.shape and (before != after).any()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["photo.png", "make it night", "-o", "-", "-n", "2"], "One result alone can go to standard output"),
        (["photo.png", "make it night", "-o", "-", "--then", "make it day"], "One result alone"),
        (["photo.png", "make it night", "-o", "-", "--think"], "One result alone"),
        (["photo.png", "make it night", "--compare", "-"], "Cannot tell the format"),
        ([".", "make it night", "-o", "-"], "Several results cannot go to standard output"),
        (["photo.png", "-", "make it night", "-o", "out"], "There is no file -"),
    ],
)
def test_what_cannot_be_piped(
    step1x: Callable[..., subprocess.CompletedProcess[str]], photo: Path, words: list[str], sentence: str
) -> None:
    done = step1x("edit", *words, cwd=photo.parent)
    assert (done.returncode, done.stdout) == (2, "") and sentence in done.stderr and done.stderr.count("\n") == 1
    assert os.listdir(photo.parent) == ["photo.png"]


def test_heic_is_read_from_standard_input_too(photo: Path, random_mini: Path) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    data = BytesIO()
    pillow_heif.from_pillow(Image.open(photo).convert("RGB")).save(data)
    done = pipe("edit", "-", "make it night", "--weights", random_mini, *SMALL, "-o", "night.png", data=data.getvalue(), cwd=photo.parent)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("data", "sentence"), [(b"", "The file is empty"), (b"I am a letter", "is not a whole picture")])
def test_what_is_piped_in_must_be_a_picture(tmp_path: Path, data: bytes, sentence: str) -> None:
    done = pipe("edit", "-", "make it night", "-o", "out.png", data=data, cwd=tmp_path)
    assert (done.returncode, done.stdout, os.listdir(tmp_path)) == (1, b"", [])
    assert sentence in done.stderr.decode() and done.stderr.count(b"\n") == 1


@pytest.mark.parametrize(
    ("words", "sentence"),
    [(["-", "make it night", "-o", "night.png"], b"pipe one in"), (["photo.png", "make it night", "-o", "-"], b"pipe it on")],
)
def test_a_terminal_is_neither_read_nor_filled(photo: Path, words: list[str], sentence: bytes) -> None:
    closed = ["sh", "-c", 'exec "$@" <&- >&-', "sh", STEP1X, "edit", *words]
    done = subprocess.run(closed, stderr=subprocess.PIPE, timeout=200, cwd=photo.parent, check=False)
    assert done.returncode == 2 and sentence in done.stderr
    ours, theirs = pty.openpty()
    try:
        done = subprocess.run(
            [STEP1X, "edit", *words], stdin=theirs, stdout=theirs, stderr=subprocess.PIPE, timeout=200, cwd=photo.parent, check=False
        )
    finally:
        os.close(theirs)
        os.close(ours)
    assert done.returncode == 2 and sentence in done.stderr


def test_whoever_reads_no_further_is_no_error_of_ours(photo: Path, random_mini: Path) -> None:
    command = [STEP1X, "edit", photo, "make it night", "--weights", random_mini, *SMALL, "-o", "-"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=photo.parent) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        said = process.stderr.read()
        process.wait(200)
    assert b"Traceback" not in said and b"Exception" not in said


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no disk that is always full")
@pytest.mark.parametrize(
    ("out", "made"), [(["-o", "-"], []), (["-o", "night.png"], ["night.png"]), ([], ["photo-edited.png"])], ids=["stream", "file", "beside"]
)
def test_standard_output_that_is_full_is_one_sentence(photo: Path, random_mini: Path, out: list[str], made: list[str]) -> None:
    command = [STEP1X, "edit", photo, "make it night", "--weights", random_mini, *SMALL, *out]
    with open("/dev/full", "wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, timeout=200, cwd=photo.parent, check=False)
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr and b"Exception" not in done.stderr
    assert done.stderr.splitlines()[-1] == b"step1x: Standard output could not be written (No space left on device)."
    assert sorted(os.listdir(photo.parent)) == sorted([photo.name, *made])


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no disk that is always full")
@pytest.mark.parametrize("words", [["models", "list"], ["--version"], ["--help"]], ids=" ".join)
def test_standard_output_that_is_full_is_one_sentence_of_every_command(words: list[str]) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run([STEP1X, *words], stdout=full, stderr=subprocess.PIPE, timeout=200, check=False)
    assert done.returncode == 1
    assert re.fullmatch(rb"step1x: Standard output.* could not be written \(No space left on device\)\.\n", done.stderr)


@pytest.mark.parametrize("closing", ["2>&-", ">&-", "<&- >&- 2>&-"])
def test_an_edit_is_made_though_its_streams_are_closed(photo: Path, random_mini: Path, closing: str) -> None:
    command = [STEP1X, "edit", photo, "make it night", "--weights", random_mini, *SMALL, "-o", "night.png"]
    closed = ["sh", "-c", f'exec "$@" {closing}', "sh", *command]
    done = subprocess.run(closed, stdout=subprocess.PIPE, timeout=200, cwd=photo.parent, check=False)
    assert done.returncode == 0
    assert done.stdout == (b"night.png\n" if closing == "2>&-" else b"")
    assert read_image(photo.with_name("night.png")).image.size == read_image(photo).image.size
