"""`make install` and `make edit`, as a newcomer calls them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from step1x_edit.settings import read_settings

MAKEFILE = Path(__file__).parents[1] / "Makefile"

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


@pytest.mark.parametrize("lost", ["python", "pip"])
def test_an_environment_that_cannot_be_used_is_made_anew(lost: str, tmp_path: Path) -> None:
    """As a kill in the middle of making it leaves it, or with its Python gone."""
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copy(MAKEFILE.with_name(name), tmp_path)
    python = tmp_path / ".venv" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / ".venv"], check=True, timeout=120)
    if lost == "python":
        python.unlink()
        python.symlink_to(tmp_path / "gone")
    command = ["make", "-C", tmp_path, "-f", MAKEFILE, f"PYTHON={sys.executable}", "PIP=true", "install"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    subprocess.run([python, "-m", "pip", "--version"], check=True, stdout=subprocess.DEVNULL, timeout=120)


def test_a_clone_that_was_moved_is_installed_anew(tmp_path: Path) -> None:
    old, new = tmp_path / "old place", tmp_path / "new place"
    old.mkdir()
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copy(MAKEFILE.with_name(name), old)

    def install(folder: Path) -> str:
        command = ["make", "-C", folder, "-f", MAKEFILE, f"PYTHON={sys.executable}", "PIP=true", "install"]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=240).stdout

    assert "Making .venv" in install(old)
    assert "Making .venv" not in install(old)
    old.rename(new)
    assert "Making .venv" in install(new)
    subprocess.run([new / ".venv" / "bin" / "pip", "--version"], check=True, stdout=subprocess.DEVNULL, timeout=120)


@pytest.mark.parametrize("version", [(3, 10, 9), (3, 15, 0)])
def test_a_python_that_pytorch_was_not_built_for_is_refused_before_anything_is_made(version: tuple[int, ...], tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "import sys; sys.version_info = {version}; $2"\n')
    python.chmod(0o755)
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copy(MAKEFILE.with_name(name), tmp_path)
    command = ["make", "-C", tmp_path, "-f", MAKEFILE, f"PYTHON={python}", "PIP=true", "install"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode != 0
    assert "Python 3.11, 3.12, 3.13 or 3.14 is needed" in done.stdout
    assert not (tmp_path / ".venv").exists()


def test_what_is_installed_goes_into_the_environment_where_pip_is_set_to_install_for_the_user(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", tmp_path / ".venv"], check=True, timeout=120)
    wheel = tmp_path / "installed_here-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("installed_here.py", "")
        archive.writestr("installed_here-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: installed-here\nVersion: 1\n")
        archive.writestr("installed_here-1.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("installed_here-1.dist-info/RECORD", "")
    rule = f"installed: ; $(PIP) install --no-index {wheel}"
    command = ["make", "-C", tmp_path, "-f", MAKEFILE, "--eval", rule, "installed"]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PIP_USER": "1"}, timeout=120)
    assert done.returncode == 0, done.stderr
    subprocess.run([tmp_path / ".venv" / "bin" / "python", "-c", "import installed_here"], check=True, timeout=60)


def test_what_can_be_made_is_listed_where_only_the_most_common_programs_are(tmp_path: Path) -> None:
    for name in ("make", "awk", "grep", "sed"):
        (tmp_path / name).symlink_to(shutil.which(name) or name)
    done = subprocess.run([tmp_path / "make", "-f", MAKEFILE], capture_output=True, text=True, env={"PATH": str(tmp_path)}, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    listed = [line.split(maxsplit=1)[0] for line in done.stdout.splitlines()]
    assert listed == ["help", "install", "system", "edit", "test", "check", "docs", "clean"]


def test_names_and_instructions_stay_as_they_are(tmp_path: Path, scene: Image.Image) -> None:
    photo, instruction = tmp_path / "my pictures" / "at the sea.jpg", 'write "it\'s `night`" on it'
    photo.parent.mkdir()
    scene.save(photo)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    command = ["make", "-C", tmp_path, "-f", MAKEFILE, "-o", ".venv/.installed", "edit"]
    done = subprocess.run([*command, f"PHOTO={photo}", f"INSTRUCTION={instruction}"], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert "The edited picture is out/edit/at the sea-edited.png; out/edit/at the sea-before-after.png shows both." in done.stdout
    assert read_settings(tmp_path / "out" / "edit" / "at the sea-edited.png").options["instruction"] == instruction
    assert (tmp_path / "out" / "edit" / "at the sea-before-after.png").is_file()
