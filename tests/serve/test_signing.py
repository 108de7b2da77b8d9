"""Content credentials in what the server hands out."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import c2pa
import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from serve_server import Server
from serve_uploads import encode, noise

from credential_pairs import write_pair


def test_every_file_is_signed(tmp_path: Path) -> None:
    chain, key = write_pair(tmp_path, ec.generate_private_key(ec.SECP256R1()))
    server = Server("--credentials", str(chain), "--credentials-key", str(key))
    try:
        with httpx.Client(base_url=server.root, timeout=200, trust_env=False) as http:
            for form in ("png", "jpeg", "webp"):
                data = {"prompt": "a secret instruction", "output_format": form}
                answer = http.post("/v1/images/edits", data=data, files={"image": encode(noise(64, 48))})
                file = base64.b64decode(answer.json()["data"][0]["b64_json"])
                with c2pa.Reader(f"image/{form}", io.BytesIO(file)) as reader:
                    assert reader.get_validation_state() == "Valid" and "c2pa.edited" in reader.json()
                assert b"a secret instruction" not in file
    finally:
        server.stop()
    assert "PRIVATE" not in server.output


def test_half_of_a_pair_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from step1x_edit.cli.main import run

    assert run(["serve", "--credentials", str(tmp_path / "chain.pem")]) == 2
    assert "--credentials-key" in capsys.readouterr().err
