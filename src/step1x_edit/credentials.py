"""Content credentials (C2PA) in an edited file: a signed statement that a model edited it, with the user's own certificate.

They hold what was done by which program, and no more: no instruction, no seed, no thumbnail, and nothing is asked of another server.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from PIL import Image

from step1x_edit import __version__
from step1x_edit.errors import Step1XError, UsageError
from step1x_edit.types import EditRequest

MIMES = {name: f"image/{name.lower()}" for name in ("PNG", "JPEG", "WEBP", "AVIF", "TIFF")}
"""Pillow's names of the formats that hold credentials."""

_SOURCES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_EDITED = f"{_SOURCES}compositeWithTrainedAlgorithmicMedia"
_CURVES = {"secp256r1": b"es256", "secp384r1": b"es384", "secp521r1": b"es512"}
_SETTINGS = {"builder": {"thumbnail": {"enabled": False}}, "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False}}


@dataclass(frozen=True)
class Credentials:
    """Who signs.

    Attributes:
        certificates: the certificate and those it was issued by, in this order, PEM.
        key: the private key of the first one, PEM.
        algorithm: C2PA's name of how it signs.
    """

    certificates: bytes
    key: bytes = field(repr=False)
    algorithm: bytes

    @classmethod
    def open(cls, certificates: Path, key: Path) -> Credentials:
        """Read both files, and sign something once, so that whatever is wrong is said before any work is done.

        Raises:
            UsageError: a file cannot be read or holds none of these, they do not belong together, or C2PA does not allow them.
        """
        try:
            chain, secret = certificates.read_bytes(), key.read_bytes()
        except OSError as error:
            raise UsageError(f"The credentials cannot be read from {error.filename} ({error.strerror}).") from error
        try:
            opened = load_pem_private_key(secret, None)
            plain = opened.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise UsageError(f"{key} holds no private key in PEM without a password; write it as such.") from error
        match opened:
            case ec.EllipticCurvePrivateKey() if opened.curve.name in _CURVES:
                algorithm = _CURVES[opened.curve.name]
            case rsa.RSAPrivateKey():
                algorithm = b"ps256"
            case ed25519.Ed25519PrivateKey():
                algorithm = b"ed25519"
            case _:
                raise UsageError(f"C2PA signs with no key like that in {key}; use ECDSA on P-256, P-384 or P-521, RSA, or Ed25519.")
        credentials = cls(chain, plain, algorithm)
        dot = BytesIO()
        Image.new("RGB", (8, 8)).save(dot, "PNG")
        try:
            credentials.sign(dot.getvalue(), "PNG", EditRequest(None, "-"))
        except Step1XError as error:
            raise UsageError(f"Nothing can be signed with {certificates} and {key}: {error}") from error
        return credentials

    def sign(self, encoded: bytes, name: str, request: EditRequest) -> bytes:
        """The same file with credentials in it.

        Args:
            encoded: a picture's file.
            name: Pillow's name of its format.
            request: what was done, of which the picture is the result.

        Raises:
            UsageError: files of this format hold no credentials.
            Step1XError: the library refuses the certificate, the key or the file.
        """
        from c2pa import Builder, C2paBuilderIntent, C2paDigitalSourceType, C2paError, C2paSignerInfo, Context, Settings, Signer

        if name not in MIMES:
            raise UsageError(f"{name} files hold no content credentials; write one of {', '.join(MIMES)}, or leave them out.")
        mime, signed = MIMES[name], BytesIO()
        agent = {"name": "step1x-edit", "version": __version__}
        manifest: dict[str, Any] = {"claim_generator_info": [agent], "format": mime}
        try:
            with (
                Context(Settings.from_dict(_SETTINGS)) as context,
                Signer.from_info(C2paSignerInfo(self.algorithm, self.certificates, self.key, None)) as signer,
            ):
                if request.image is None:
                    with Builder(manifest, context) as builder:
                        builder.set_intent(C2paBuilderIntent.CREATE, C2paDigitalSourceType.TRAINED_ALGORITHMIC_MEDIA)
                        builder.sign(signer, mime, BytesIO(encoded), signed)
                else:
                    edited = {"action": "c2pa.edited", "digitalSourceType": _EDITED, "softwareAgent": agent}
                    manifest["assertions"] = [{"label": "c2pa.actions.v2", "data": {"actions": [edited]}}]
                    with Builder(manifest, context) as builder:
                        builder.set_intent(C2paBuilderIntent.EDIT)
                        original = BytesIO()
                        request.image.save(original, "PNG", compress_level=1)
                        original.seek(0)
                        parent = json.dumps({"title": "original", "relationship": "parentOf"})
                        builder.add_ingredient(parent, "image/png", original)
                        builder.sign(signer, mime, BytesIO(encoded), signed)
        except C2paError as error:
            raise Step1XError(f"The content credentials could not be written ({' '.join(str(error).split())[:200]}).") from error
        return signed.getvalue()
