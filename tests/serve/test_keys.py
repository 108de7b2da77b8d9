"""The file of keys, and the command that keeps it."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from step1x_edit.cli.main import run
from step1x_edit.errors import UsageError
from step1x_edit.serve.keys import Keys


def test_a_key_opens_until_it_is_revoked(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    keys, reader = Keys.open(path), Keys(path)
    secret = keys.add("alice")
    other = keys.add("bob")
    assert (reader.find(secret), reader.find(other), reader.find(secret[:-1]), reader.find("")) == ("alice", "bob", None, None)
    keys.revoke("alice")
    assert (reader.find(secret), reader.find(other)) == (None, "bob")
    path.unlink()
    assert reader.find(other) is None


def test_the_file_holds_no_key_and_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    secret = Keys.open(path).add("alice")
    assert secret.startswith("sk-step1x-") and len(secret) > 50
    assert secret not in path.read_text() and secret[10:] not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert {each.name for each in tmp_path.iterdir()} <= {path.name, ".keys.json.lock"}


def test_a_change_leaves_the_file_to_those_who_could_read_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path, link = tmp_path / "keys.json", tmp_path / "link.json"
    Keys.open(path).add("alice")
    link.symlink_to(path)
    path.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(path, 10001, 10002)
    before = path.stat()
    reader, secret = Keys(path), Keys(link).add("bob")
    after = path.stat()
    assert (before.st_uid, before.st_gid, before.st_mode) == (after.st_uid, after.st_gid, after.st_mode)
    assert link.is_symlink() and reader.find(secret) == "bob" and not caplog.records
    path.unlink()
    assert (reader.find(secret), reader.find(secret)) == (None, None)
    assert [record.getMessage() for record in caplog.records] == [
        f"Nobody is let in, for want of a sound file of keys: [Errno 2] No such file or directory: '{path}'"
    ]


def test_of_changes_at_once_none_is_lost(tmp_path: Path) -> None:
    path, names = tmp_path / "keys.json", [f"key {i}" for i in range(12)]
    with ThreadPoolExecutor(12) as pool:
        list(pool.map(lambda name: Keys.open(path).add(name), names))
        assert sorted(key.name for key in Keys(path).read()) == sorted(names)
        list(pool.map(Keys(path).revoke, names))
    assert Keys(path).read() == ()


def test_names_are_single_and_sensible(tmp_path: Path) -> None:
    keys = Keys.open(tmp_path / "keys.json")
    keys.add("alice")
    for name, sentence in {"alice": "already", " ": "1 to 100", "a\nb": "1 to 100", "x" * 101: "1 to 100"}.items():
        with pytest.raises(UsageError, match=sentence):
            keys.add(name)
    with pytest.raises(UsageError, match="no key named bob"):
        keys.revoke("bob")


@pytest.mark.parametrize("content", ["", "[]", '{"keys": [1]}', '{"keys": [{"name": "x"}]}', "\0"])
def test_other_files_are_refused_and_let_nobody_in(tmp_path: Path, content: str) -> None:
    path = tmp_path / "keys.json"
    keys = Keys.open(path)
    secret = keys.add("alice")
    path.write_text(content)
    with pytest.raises(UsageError, match="not a file of keys"):
        Keys(path)
    assert keys.find(secret) is None


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(tmp_path / "keys.json")
    assert run(["serve", "keys", "add", "alice", "--keys", path]) == 0
    secret = capsys.readouterr().out.strip()
    assert Keys(Path(path)).find(secret) == "alice"
    assert run(["serve", "keys", "list", "--keys", path]) == 0
    assert capsys.readouterr().out.strip().endswith("alice")
    assert run(["serve", "keys", "revoke", "alice", "--keys", path]) == 0
    assert run(["serve", "keys", "list", "--keys", str(tmp_path / "none.json")]) == 2
    assert "step1x serve keys add makes one" in capsys.readouterr().err
