"""How far a long task is, in a log."""

from __future__ import annotations

import pytest

from step1x_edit.cli import progress


def test_a_log_gets_a_line_now_and_then(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with progress.progress_line("data") as tell:
        for done in range(7):
            now[0] = 12.0 * done
            tell(done, 6, "drawing")
    assert capsys.readouterr().err == "data: drawing 3/6\ndata: drawing 6/6\n"
