"""Fetching by name, with huggingface_hub as it is, from a small server that speaks the hub's protocol."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from step1x_edit import hub
from step1x_edit.errors import Step1XError, UsageError, WeightsError
from step1x_edit.locking import hold
from step1x_edit.model.presets import PRESETS, PrefixText

REVISION = "a" * 40
PREFIX = "Look at it.\nThen: "
SOURCE = f'import torch\nOTHER = "x"\nGREETING = {PREFIX!r}\nraise SystemExit("this file must not be run")\n'
TEXT = PrefixText("owner/repo/main", "modules/conditioner.py", "GREETING", len(PREFIX), hashlib.sha256(PREFIX.encode()).hexdigest())


@dataclass
class Hub:
    """The repositories of the server, and what it was asked."""

    files: dict[str, dict[str, bytes]]
    address: str = ""
    ranges: list[str] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)
    tokens: list[str | None] = field(default_factory=list)
    break_after: int | None = None
    lie: bool = False


class Handler(BaseHTTPRequestHandler):
    hub: Hub

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, code: int, body: bytes, **headers: str) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        if "//" in self.requestline:  # `path` has one slash of them
            return self._answer(404, b"{}", X_Error_Code="RepoNotFound")
        if self.path.startswith("/raw/owner/repo/main/modules/conditioner.py"):
            return self._answer(200, SOURCE.encode())
        if found := re.fullmatch(r"/api/models/([^/?]+/[^/?]+)(\?.*)?", self.path):
            return self._list(found[1])
        if (found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", self.path)) and found[2] == REVISION:
            return self._send(found[1], found[3])
        return self._answer(404, b"{}", X_Error_Code="RepoNotFound")

    def _list(self, repository: str) -> None:
        self.hub.tokens.append(self.headers.get("Authorization"))
        if repository not in self.hub.files:
            return self._answer(404, b"{}", X_Error_Code="RepoNotFound")
        siblings = []
        for name, content in self.hub.files[repository].items():
            stated = content[::-1] if self.hub.lie else content
            git = hashlib.sha1(b"blob %d\0" % len(stated) + stated).hexdigest()
            entry = {"rfilename": name, "size": len(content), "blobId": git}
            if name.endswith(".safetensors"):
                entry["lfs"] = {"sha256": hashlib.sha256(stated).hexdigest(), "size": len(content), "pointerSize": 130}
            siblings.append(entry)
        return self._answer(200, json.dumps({"id": repository, "sha": REVISION, "siblings": siblings}).encode())

    def _send(self, repository: str, name: str) -> None:
        self.hub.tokens.append(self.headers.get("Authorization"))
        content = self.hub.files[repository][name]
        start = 0
        if asked := self.headers.get("Range"):
            self.hub.ranges.append(asked)
            start = int(asked.removeprefix("bytes=").rstrip("-"))
        self.hub.fetched.append(name)
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        body = content[start:]
        if self.hub.break_after is not None and name.endswith(".safetensors"):
            self.wfile.write(body[: self.hub.break_after])
            self.wfile.flush()
            self.connection.close()
            return
        self.wfile.write(body)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    one = Hub(
        {"lab/model": {"big.safetensors": bytes(range(256)) * 4000, "README.md": b"no"}, "lab/mllm": {"config.json": b"{}", "x.bin": b"!"}}
    )
    handler = type("One", (Handler,), {"hub": one})
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    one.address = f"http://127.0.0.1:{httpd.server_port}"
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    sources = (hub.Source("lab/model", ("*.safetensors",)), hub.Source("lab/mllm", ("*.json",), "mllm"))
    monkeypatch.setitem(hub.RELEASES, "small", hub.Release("v1.1", sources, 0.001, "for tests"))
    row = PRESETS["v1.1"]
    monkeypatch.setitem(PRESETS, "v1.1", replace(row, message=replace(row.message, prefix=TEXT)))
    yield one
    httpd.shutdown()
    httpd.server_close()
    thread.join()


def pull(server: Hub, folder: Path, **options: object) -> None:
    given = {"endpoint": server.address, "token": "hf_test", "github": f"{server.address}/raw", **options}
    hub.pull("small", folder, **given)  # type: ignore[arg-type]


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and path.name != ".lock"}


def test_a_release_is_fetched_whole(server: Hub, tmp_path: Path) -> None:
    told: list[tuple[str, int]] = []
    pull(server, tmp_path, progress=lambda name, size: told.append((name, size)))
    assert names(tmp_path) == {"big.safetensors", "mllm/config.json", "mllm_prefix.txt", "preset.json"}
    assert (tmp_path / "big.safetensors").read_bytes() == server.files["lab/model"]["big.safetensors"]
    assert (tmp_path / "mllm_prefix.txt").read_text(encoding="utf-8") == PREFIX
    assert json.loads((tmp_path / "preset.json").read_text()) == {"name": "v1.1"}
    assert told == [("big.safetensors", 1_024_000), ("config.json", 2)]
    server.fetched.clear()
    (tmp_path / "mllm" / "config.json").write_text("[]")  # of the same size, but changed
    pull(server, tmp_path)
    assert server.fetched == ["config.json"]


def test_a_download_goes_on_where_it_stopped(server: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import file_download

    monkeypatch.setattr(file_download.time, "sleep", lambda _: None)
    server.break_after = 0
    partial = tmp_path / f".big.safetensors.{hashlib.sha256(server.files['lab/model']['big.safetensors']).hexdigest()[:12]}.incomplete"
    partial.write_bytes(server.files["lab/model"]["big.safetensors"][:600_000])  # what a killed process left
    with pytest.raises(
        Step1XError, match=r"big.safetensors of lab/model cannot be fetched .*; the same command goes on where it stopped\.$"
    ):
        pull(server, tmp_path)
    assert partial.stat().st_size == 600_000 and not (tmp_path / "big.safetensors").exists()
    server.break_after = None
    server.ranges.clear()
    pull(server, tmp_path)
    assert server.ranges == ["bytes=600000-"]
    assert (tmp_path / "big.safetensors").read_bytes() == server.files["lab/model"]["big.safetensors"]
    assert not partial.exists()


def test_two_at_once_do_not_write_one_file(server: Hub, tmp_path: Path) -> None:
    with hold(tmp_path / ".lock", "busy"), pytest.raises(UsageError, match="Another pull is at work"):
        pull(server, tmp_path)
    assert not server.fetched


def test_what_is_not_as_published_is_deleted(server: Hub, tmp_path: Path) -> None:
    server.lie = True
    with pytest.raises(WeightsError, match="did not come as it was published"):
        pull(server, tmp_path)
    assert names(tmp_path) == set()


def test_a_release_whose_repository_lacks_a_file_is_not_called_whole(server: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = (hub.Source("lab/model", ("big.safetensors", "vae.safetensors")),)
    monkeypatch.setitem(hub.RELEASES, "small", replace(hub.RELEASES["small"], sources=sources))
    with pytest.raises(WeightsError, match=r"lab/model holds none of vae\.safetensors\.$"):
        pull(server, tmp_path)
    assert not server.fetched and names(tmp_path) == set()  # nothing of many gigabytes is fetched in vain


def test_a_token_out_of_a_file_is_taken_without_its_newline(server: Hub, tmp_path: Path) -> None:
    pull(server, tmp_path, token="hf_test\n")
    assert set(server.tokens) == {"Bearer hf_test"}


def test_a_prefix_text_that_is_there_is_not_fetched_again(server: Hub, tmp_path: Path) -> None:
    pull(server, tmp_path)
    pull(server, tmp_path, github=f"{server.address}/nowhere")
    (tmp_path / "mllm_prefix.txt").write_text("Look at something else.", encoding="utf-8")
    with pytest.raises(Step1XError, match=r"/nowhere/.* cannot be fetched"):
        pull(server, tmp_path, github=f"{server.address}/nowhere")
    pull(server, tmp_path)
    assert (tmp_path / "mllm_prefix.txt").read_text(encoding="utf-8") == PREFIX


def test_an_address_of_the_hub_may_end_with_a_slash(server: Hub, tmp_path: Path) -> None:
    pull(server, tmp_path, endpoint=f"{server.address}/")
    assert (tmp_path / "big.safetensors").is_file()


def test_a_folder_of_another_version_is_left_as_it_is(server: Hub, tmp_path: Path) -> None:
    """Else it would be fetched whole, and then be taken for the other one, with the prefix text of this one."""
    (tmp_path / "preset.json").write_text('{"name": "v1.0"}')
    with pytest.raises(UsageError, match=r"holds v1\.0 already; choose another folder for v1\.1\.$"):
        pull(server, tmp_path)
    assert not server.fetched and names(tmp_path) == {"preset.json"}


def test_a_name_that_leads_out_of_the_folder_is_refused(server: Hub, tmp_path: Path) -> None:
    server.files["lab/model"] = {"../evil.safetensors": b"x"}
    with pytest.raises(WeightsError, match="leads out of its folder"):
        pull(server, tmp_path / "in")


def test_what_cannot_be_had_is_one_sentence(server: Hub, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no release 'v9'; choose one of v1\.0"):
        hub.pull("v9", tmp_path)
    del server.files["lab/mllm"]
    with pytest.raises(Step1XError, match="The files of lab/mllm cannot be listed") as raised:
        pull(server, tmp_path)
    assert "\n" not in str(raised.value)
    server.files["lab/mllm"] = {"other.txt": b""}
    with pytest.raises(WeightsError, match=r"lab/mllm holds none of \*\.json"):
        pull(server, tmp_path)


@pytest.mark.parametrize(
    "endpoint", ["http://[::1", "http://127.0.0.1:port", "http://a..b\u00e4", "http://a\0b", "hub.example", "ftp://hub.example"]
)
def test_what_is_no_address_is_one_sentence(server: Hub, tmp_path: Path, endpoint: str) -> None:
    with pytest.raises(Step1XError, match="The files of lab/model cannot be listed") as raised:
        hub.pull("small", tmp_path, endpoint=endpoint, token="hf_test", github=f"{server.address}/raw")
    assert "\n" not in str(raised.value)


def test_the_prefix_text_is_read_and_never_run(server: Hub, tmp_path: Path) -> None:
    assert hub.read_prefix_text(SOURCE, TEXT) == PREFIX
    with pytest.raises(WeightsError, match="not the prefix text"):
        hub.read_prefix_text(SOURCE.replace("Look", "Loot"), TEXT)
    with pytest.raises(WeightsError, match="holds no text GREETING"):
        hub.read_prefix_text("GREETING = 1 + 1", TEXT)
    with pytest.raises(WeightsError, match="is not Python"):
        hub.read_prefix_text("<html>", TEXT)
    with pytest.raises(Step1XError, match=r"/nowhere/.* cannot be fetched .*pass it with --prefix"):
        pull(server, tmp_path, github=f"{server.address}/nowhere")
    file = tmp_path / "conditioner.py"
    file.write_text(SOURCE)
    pull(server, tmp_path, github=f"{server.address}/nowhere", prefix_file=file)
    assert (tmp_path / "mllm_prefix.txt").read_text(encoding="utf-8") == PREFIX


def test_every_release_is_of_a_row() -> None:
    assert {release.preset for release in hub.RELEASES.values()} == {"v1.0", "v1.1", "v1.2"}
    files = [PRESETS["v1.0"].released_file, *PRESETS["v1.0"].other_files, PRESETS["v1.1"].released_file]
    wanted = {pattern for release in hub.RELEASES.values() for source in release.sources for pattern in source.patterns}
    assert set(files) <= wanted
