"""Certificates as content credentials need them, made for the tests."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


def write_pair(folder: Path, key: Any, purpose: x509.ObjectIdentifier = ExtendedKeyUsageOID.EMAIL_PROTECTION) -> tuple[Path, Path]:
    """A certificate of an authority made for it, and its key, as files."""
    authority = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)

    def begin(subject: str, public: Any) -> x509.CertificateBuilder:
        names = [x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, each)]) for each in (subject, "Authority")]
        builder = x509.CertificateBuilder(names[1], names[0], public, x509.random_serial_number())
        builder = builder.not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=9))
        return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)

    def usage(signs: bool) -> x509.KeyUsage:
        return x509.KeyUsage(signs, False, False, False, False, not signs, not signs, False, False)

    root = begin("Authority", authority.public_key())
    root = root.add_extension(x509.BasicConstraints(True, None), critical=True).add_extension(usage(False), critical=True)
    leaf = begin("Studio", key.public_key())
    leaf = leaf.add_extension(x509.BasicConstraints(False, None), critical=True).add_extension(usage(True), critical=True)
    leaf = leaf.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    leaf = leaf.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()), critical=False)
    signed = [builder.sign(authority, hashes.SHA256()).public_bytes(Encoding.PEM) for builder in (leaf, root)]
    certificates, secret = folder / "chain.pem", folder / "key.pem"
    certificates.write_bytes(b"".join(signed))
    secret.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return certificates, secret
