"""Content credentials, read back and checked by the C2PA library; certificates are made here."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import c2pa
import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from PIL import Image

from credential_pairs import write_pair
from step1x_edit.cli.main import run
from step1x_edit.credentials import MIMES, Credentials
from step1x_edit.errors import UsageError
from step1x_edit.settings import read_settings
from step1x_edit.types import EditRequest

IPTC = "http://cv.iptc.org/newscodes/digitalsourcetype/"
KEYS: dict[str, Any] = {
    "Es256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "Es384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "Ps256": lambda: rsa.generate_private_key(65537, 2048),
    "Ed25519": ed25519.Ed25519PrivateKey.generate,
}


def encode(picture: Image.Image, name: str) -> bytes:
    file = BytesIO()
    picture.save(file, name)
    return file.getvalue()


def read(data: bytes, name: str) -> tuple[str, dict[str, Any]]:
    """What the library thinks of the whole file, and the manifest."""
    with c2pa.Reader(MIMES[name], BytesIO(data)) as reader:
        return reader.get_validation_state(), json.loads(reader.json())["manifests"][json.loads(reader.json())["active_manifest"]]


def find_actions(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    (found,) = (each["data"]["actions"] for each in manifest["assertions"] if each["label"].startswith("c2pa.actions"))
    return list(found)


@pytest.fixture
def credentials(tmp_path: Path) -> Credentials:
    return Credentials.open(*write_pair(tmp_path, KEYS["Es256"]()))


@pytest.mark.parametrize("name", MIMES)
def test_an_edit_is_said_to_be_one(credentials: Credentials, scene: Image.Image, name: str) -> None:
    request = EditRequest(scene, "a secret instruction")
    signed = credentials.sign(encode(scene, name), name, request)
    state, manifest = read(signed, name)
    assert state == "Valid"
    opened, edited = find_actions(manifest)
    assert opened["action"] == "c2pa.opened" and manifest["ingredients"][0]["relationship"] == "parentOf"
    assert (edited["action"], edited["digitalSourceType"]) == ("c2pa.edited", f"{IPTC}compositeWithTrainedAlgorithmicMedia")
    assert edited["softwareAgent"]["name"] == "step1x-edit"
    assert "PRIVATE KEY" not in repr(credentials)
    assert b"a secret instruction" not in signed and b"thumbnail" not in signed
    with Image.open(BytesIO(signed)) as picture, Image.open(BytesIO(encode(scene, name))) as before:
        assert picture.tobytes() == before.tobytes()


def test_a_picture_from_text_is_said_to_be_made(credentials: Credentials, scene: Image.Image) -> None:
    state, manifest = read(credentials.sign(encode(scene, "PNG"), "PNG", EditRequest(None, "a fox")), "PNG")
    (made,) = find_actions(manifest)
    assert (state, made["action"], made["digitalSourceType"]) == ("Valid", "c2pa.created", f"{IPTC}trainedAlgorithmicMedia")


def test_a_changed_pixel_is_found(credentials: Credentials, scene: Image.Image) -> None:
    signed = bytearray(credentials.sign(encode(scene, "PNG"), "PNG", EditRequest(scene, "make it night")))
    signed[-40] ^= 1
    assert read(bytes(signed), "PNG")[0] == "Invalid"


@pytest.mark.parametrize("kind", KEYS)
def test_every_kind_of_key_signs(tmp_path: Path, scene: Image.Image, kind: str) -> None:
    credentials = Credentials.open(*write_pair(tmp_path, KEYS[kind]()))
    state, manifest = read(credentials.sign(encode(scene, "JPEG"), "JPEG", EditRequest(scene, "make it night")), "JPEG")
    assert (state, manifest["signature_info"]["alg"], manifest["signature_info"]["issuer"]) == ("Valid", kind, "Studio")


def test_what_cannot_sign_is_one_sentence(tmp_path: Path, credentials: Credentials, scene: Image.Image) -> None:
    certificates, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    (tmp_path / "text").write_text("no key")
    with pytest.raises(UsageError, match=r"cannot be read from .*missing"):
        Credentials.open(tmp_path / "missing", key)
    with pytest.raises(UsageError, match="no private key"):
        Credentials.open(certificates, tmp_path / "text")
    with pytest.raises(UsageError, match="Nothing can be signed with"):
        Credentials.open(tmp_path / "text", key)
    (tmp_path / "dsa").write_bytes(dsa.generate_private_key(1024).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(UsageError, match="use ECDSA"):
        Credentials.open(certificates, tmp_path / "dsa")
    with pytest.raises(UsageError, match="BMP files hold no content credentials"):
        credentials.sign(encode(scene, "BMP"), "BMP", EditRequest(scene, "make it night"))


def test_a_key_of_another_certificate_is_refused(tmp_path: Path) -> None:
    certificates, _ = write_pair(tmp_path, KEYS["Es256"]())
    (tmp_path / "other").mkdir()
    _, other = write_pair(tmp_path / "other", KEYS["Es256"]())
    with pytest.raises(UsageError, match="Nothing can be signed with"):
        Credentials.open(certificates, other)


def test_the_command_signs_what_it_writes(tmp_path: Path, scene: Image.Image, still_mini: Path, capfd: pytest.CaptureFixture[str]) -> None:
    certificates, key = write_pair(tmp_path, KEYS["Es256"]())
    scene.save(tmp_path / "photo.png")
    begin = ["edit", str(tmp_path / "photo.png"), "make it night", "--weights", str(still_mini), "-o", str(tmp_path / "out.jpg")]
    assert run([*begin, "--credentials", str(certificates)]) == 2
    assert "give --credentials and --credentials-key" in capfd.readouterr().err and not (tmp_path / "out.jpg").exists()
    assert run([*begin, "--credentials", str(certificates), "--credentials-key", str(key)]) == 0
    state, manifest = read((tmp_path / "out.jpg").read_bytes(), "JPEG")
    assert (state, find_actions(manifest)[1]["action"]) == ("Valid", "c2pa.edited")
    assert read_settings(tmp_path / "out.jpg").options["instruction"] == "make it night"
