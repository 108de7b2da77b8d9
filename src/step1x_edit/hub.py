"""Released weights by name: which files of which repositories they are, fetching them, and whether what came is what was published.

Weights come from the Hugging Face hub through huggingface_hub. A download that stopped is gone on with, even by another process, and every
file is compared with the checksum that the hub states. The prefix text belongs to the weights but is published as a constant in a Python
file: it is read out of the parsed file, which is never run, and compared with the checksum that the preset knows.
"""

from __future__ import annotations

import ast
import hashlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import Any

from step1x_edit.errors import Step1XError, UsageError, WeightsError, first_line
from step1x_edit.locking import hold
from step1x_edit.model.presets import PREFIX_FILE, PRESET_FILE, PRESETS, PrefixText

GITHUB = "https://raw.githubusercontent.com"
LARGEST_SOURCE = 2_000_000

Progress = Callable[[str, int], None]
"""(file that is fetched or checked next, its bytes)."""


@dataclass(frozen=True)
class Source:
    """Files of one repository of the hub: those that match a pattern, and the folder of the model that they go to."""

    repository: str
    patterns: tuple[str, ...]
    folder: str = ""


@dataclass(frozen=True)
class Release:
    """What one name fetches: the row of `PRESETS` it is, its files, and about how many gigabytes they are."""

    preset: str
    sources: tuple[Source, ...]
    gigabytes: float
    note: str


@dataclass(frozen=True)
class RemoteFile:
    """A file of a repository, with the checksum that the hub states: sha256 of large files, git's sha1 of small ones."""

    repository: str
    revision: str
    name: str
    size: int
    target: Path
    sha256: str | None
    git_sha1: str | None


_STEP1X = "stepfun-ai/Step1X-Edit"
_PARTS = ("model_index.json", "transformer/*", "vae/*", "text_encoder/*", "processor/*", "scheduler/*")
_QWEN = Source("Qwen/Qwen2.5-VL-7B-Instruct", ("*.json", "*.safetensors", "merges.txt"), "Qwen2.5-VL-7B-Instruct")

RELEASES: dict[str, Release] = {
    "v1.0": Release("v1.0", (Source(_STEP1X, ("step1x-edit-i1258.safetensors", "vae.safetensors")), _QWEN), 42, "single file"),
    "v1.0-fp8": Release(
        "v1.0",
        (
            Source("meimeilook/Step1X-Edit-FP8", ("step1x-edit-i1258-FP8.safetensors",)),
            Source(_STEP1X, ("vae.safetensors",)),
            _QWEN,
        ),
        30,
        "single file in float8",
    ),
    "v1.1": Release("v1.1", (Source(_STEP1X, ("step1x-edit-v1p1-official.safetensors", "vae.safetensors")), _QWEN), 42, "single file"),
    "v1.1-diffusers": Release("v1.1", (Source("stepfun-ai/Step1X-Edit-v1p1-diffusers", _PARTS),), 42, "diffusers folder"),
    "v1.2": Release("v1.2", (Source("stepfun-ai/Step1X-Edit-v1p2", _PARTS),), 42, "diffusers folder; thinks and reflects"),
}
"""Choice: which repositories serve which name; sizes are about those of the published files."""


def pull(
    name: str,
    folder: Path,
    *,
    endpoint: str | None = None,
    token: str | None = None,
    github: str = GITHUB,
    prefix_file: Path | None = None,
    progress: Progress | None = None,
) -> None:
    """Fetch the files of a release into `folder`, and its prefix text; what is there and whole is not fetched again.

    Args:
        name: one of `RELEASES`.
        folder: where they go; made if need be.
        endpoint: address of the hub or of a mirror; None for huggingface_hub's own.
        token: of the user at the hub, where a repository asks for one; None takes the one that huggingface_hub keeps.
        github: address that serves raw files of GitHub repositories.
        prefix_file: the published file that holds the prefix text, where it is at hand already.
        progress: told of each file before it is fetched or checked.

    Raises:
        UsageError: no release of that name, another pull is at work in the folder, it holds another version, or cannot be written to.
        WeightsError: a file is not what was published.
        Step1XError: the network or the disk fails; calling again goes on from there.
    """
    if name not in RELEASES:
        raise UsageError(f"There is no release {name!r}; choose one of {', '.join(RELEASES)}.")
    release = RELEASES[name]
    message = PRESETS[release.preset].message
    token = (token or "").strip() or None  # as huggingface_hub reads its own: one out of a file may end with a newline
    endpoint = endpoint and endpoint.rstrip("/")  # likewise, where an environment variable gives it
    with hold(folder / ".lock", f"Another pull is at work in {folder}; wait for its end, or choose another folder."):
        _check_version(folder, release.preset)
        for source in release.sources:
            for file in list(_list_files(source, folder, endpoint, token)):
                if progress is not None:
                    progress(file.name, file.size)
                if not _is_whole(file):
                    _fetch(file, endpoint, token)
        if message.prefix is not None and not (prefix_file is None and _holds_prefix_text(folder / PREFIX_FILE, message.prefix)):
            from step1x_edit.model.tensors import write_whole

            content = (
                _read_local(prefix_file) if prefix_file else _fetch_text(f"{github}/{message.prefix.repository}/{message.prefix.path}")
            )
            text = read_prefix_text(content, message.prefix)
            write_whole(folder / PREFIX_FILE, lambda partial: partial.write_bytes(text.encode()))
        if not (folder / PRESET_FILE).exists():
            from step1x_edit.model.tensors import write_json

            write_json(folder / PRESET_FILE, {"name": release.preset})


def _check_version(folder: Path, version: str) -> None:
    """A folder is of one version: its `preset.json` says which, and the prefix text is that one's."""
    if not (folder / PRESET_FILE).exists():
        return
    from step1x_edit.model.tensors import read_json

    said = read_json(folder / PRESET_FILE)
    held = said.get("name") if isinstance(said, dict) else None
    if held != version and held in list(PRESETS):
        raise UsageError(f"{folder} holds {held} already; choose another folder for {version}.")


def read_prefix_text(source: str, expected: PrefixText) -> str:
    """The constant that `expected` names, out of the Python file's text, which is parsed and never run.

    Raises:
        WeightsError: the file has no such constant, or it is another text than the one that belongs to the weights.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise WeightsError(f"The published file {expected.path} is not Python; its prefix text cannot be read.") from error
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=expected.name)], value=ast.Constant(value=str(text))):
                if len(text) != expected.characters or not expected.matches(text.encode()):
                    raise WeightsError(f"{expected.name} in {expected.path} is not the prefix text that belongs to the weights.")
                return text
    raise WeightsError(f"{expected.path} holds no text {expected.name}; the prefix of the messages cannot be read.")


def _holds_prefix_text(path: Path, expected: PrefixText) -> bool:
    return path.is_file() and expected.matches(path.read_bytes())


def _list_files(source: Source, folder: Path, endpoint: str | None, token: str | None) -> Iterator[RemoteFile]:
    from huggingface_hub import HfApi

    with _explained(f"The files of {source.repository} cannot be listed"):
        info = HfApi(endpoint=endpoint, token=token).model_info(source.repository, files_metadata=True)
    seen: set[str] = set()
    for sibling in sorted(info.siblings or [], key=lambda s: s.rfilename):
        matched = {pattern for pattern in source.patterns if fnmatch(sibling.rfilename, pattern)}
        if not matched or sibling.size is None or info.sha is None:
            continue
        path = PurePosixPath(sibling.rfilename)
        if path.is_absolute() or ".." in path.parts or "\\" in sibling.rfilename:
            raise WeightsError(f"{source.repository} lists a file {sibling.rfilename!r}, whose name leads out of its folder.")
        seen |= matched
        lfs: Any = sibling.lfs
        yield RemoteFile(
            source.repository,
            info.sha,
            sibling.rfilename,
            sibling.size,
            folder / source.folder / path,
            lfs["sha256"] if lfs else None,
            None if lfs else sibling.blob_id,
        )
    if absent := [pattern for pattern in source.patterns if pattern not in seen and ("*" not in pattern or not seen)]:
        raise WeightsError(f"{source.repository} holds none of {', '.join(absent)}.")


def _fetch(file: RemoteFile, endpoint: str | None, token: str | None) -> None:
    """Fetch into a file beside the target, whose name says what it will be, so that a later call goes on with it."""
    from huggingface_hub import hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers

    partial = file.target.with_name(f".{file.target.name}.{(file.sha256 or file.git_sha1 or file.revision)[:12]}.incomplete")
    address = hf_hub_url(file.repository, file.name, revision=file.revision, endpoint=endpoint)
    headers = {**build_hf_headers(token=token), "Accept-Encoding": "identity"}
    with _explained(f"{file.name} of {file.repository} cannot be fetched", "; the same command goes on where it stopped"):
        partial.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("ab") as content:
            there = content.tell()
            if there > file.size:
                content.truncate(there := 0)
            http_get(address, content, resume_size=there, headers=headers, expected_size=file.size, displayed_filename=file.name)
        partial.replace(file.target)
    if not _is_whole(file):
        file.target.unlink(missing_ok=True)
        raise WeightsError(f"{file.name} of {file.repository} did not come as it was published, and was deleted; fetch it again.")


def _is_whole(file: RemoteFile) -> bool:
    """Whether the file is there with the size and the checksum that the hub states."""
    if not file.target.is_file() or file.target.stat().st_size != file.size:
        return False
    if file.sha256 is None and file.git_sha1 is None:
        return False
    digest = hashlib.sha256() if file.sha256 else hashlib.sha1(f"blob {file.size}\0".encode(), usedforsecurity=False)
    with file.target.open("rb") as content:
        while block := content.read(1 << 22):
            digest.update(block)
    return digest.hexdigest() == (file.sha256 or file.git_sha1)


def _fetch_text(address: str) -> str:
    from huggingface_hub.utils import get_session

    with _explained(f"{address} cannot be fetched", "; fetch it yourself and pass it with --prefix"):
        response = get_session().get(address, timeout=30, follow_redirects=True)
        response.raise_for_status()
        if len(response.content) > LARGEST_SOURCE:
            raise WeightsError(f"{address} is not the file that holds the prefix text: it is too long.")
        return response.content.decode("utf-8", errors="replace")


def _read_local(path: Path) -> str:
    try:
        return path.read_bytes()[:LARGEST_SOURCE].decode("utf-8", errors="replace")
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror or error}).") from error


@contextmanager
def _explained(what: str, then: str = "") -> Iterator[None]:
    """Failures of the network and of the disk in one sentence."""
    from huggingface_hub import errors

    client: Any = sys.modules[errors.HTTPError.__module__.partition(".")[0]]  # httpx or httpx2, whichever the hub's client uses
    try:
        yield
    except (OSError, ValueError, errors.HTTPError, client.InvalidURL) as error:
        raise Step1XError(f"{what} ({first_line(error)}){then}.") from error
