"""A signature shows who published a bundle; another key, another byte or no signature is refused."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dogvscat.bundle.folder import load_bundle
from dogvscat.bundle.signature import SIGNATURE_FILE
from dogvscat.errors import ModelError, UsageError
from tests.helpers import Dogvscat, plain_png, seal

pytest.importorskip("cryptography", reason="the extra `sign` is needed")

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def write_keys(folder: Path, key: Ed25519PrivateKey | ec.EllipticCurvePrivateKey, name: str) -> tuple[Path, Path]:
    private, public = folder / f"{name}.pem", folder / f"{name}-public.pem"
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    public.write_bytes(
        key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return private, public


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    """Files with a private and its public key."""
    return write_keys(tmp_path, Ed25519PrivateKey.from_private_bytes(bytes(range(32))), "mine")


@pytest.fixture
def signed(bundle: Path, keys: tuple[Path, Path], dogvscat: Dogvscat) -> Path:
    result = dogvscat("sign", bundle, "--key", keys[0])
    assert (result.returncode, result.stdout) == (0, f"{load_bundle(bundle).name}\n"), result.stderr
    return bundle


def test_a_signed_bundle_is_used_and_an_unsigned_one_refused(
    signed: Path, untouched_bundle: Path, keys: tuple[Path, Path], tmp_path: Path, dogvscat: Dogvscat
) -> None:
    photo = tmp_path / "red.png"
    photo.write_bytes(plain_png("red"))
    accepted = dogvscat("predict", photo, "--model", signed, "--require-signature", keys[1])
    assert (accepted.returncode, accepted.stdout[:3]) == (0, "dog")
    refused = dogvscat("predict", photo, "--model", untouched_bundle, "--require-signature", keys[1])
    assert refused.returncode == 4
    assert "is not signed: SHA256SUMS.sig cannot be read" in refused.stderr


def test_another_key_another_bundle_or_another_byte_is_refused(
    signed: Path, untouched_bundle: Path, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    _, other = write_keys(tmp_path, Ed25519PrivateKey.from_private_bytes(bytes(32)), "other")
    with pytest.raises(ModelError, match=r"the signature of .* does not match the key in .*other-public\.pem"):
        load_bundle(signed, other)
    signature = (signed / SIGNATURE_FILE).read_bytes()
    for damaged in (b"", signature[:-1], signature + b"\n", bytes([signature[0] ^ 1]) + signature[1:]):
        (signed / SIGNATURE_FILE).write_bytes(damaged)
        with pytest.raises(ModelError, match="does not match the key"):
            load_bundle(signed, keys[1])
    (signed / SIGNATURE_FILE).write_bytes(signature)
    assert load_bundle(signed, keys[1]).digest == load_bundle(untouched_bundle).digest
    text = (signed / "README.md").read_text()
    (signed / "README.md").write_text(f"{text}\nIt is perfect.\n")
    seal(signed)  # whoever changes a file can write the checksums again, but not the signature
    assert load_bundle(signed)
    with pytest.raises(ModelError, match="does not match the key"):
        load_bundle(signed, keys[1])


@pytest.mark.skipif(shutil.which("openssl") is None, reason="OpenSSL is needed")
def test_openssl_signs_and_checks_the_same(signed: Path, keys: tuple[Path, Path], tmp_path: Path) -> None:
    private, public = keys
    checksums, signature = signed / "SHA256SUMS", signed / SIGNATURE_FILE
    check = ("openssl", "pkeyutl", "-verify", "-pubin", "-inkey", public, "-rawin", "-in", checksums)
    assert subprocess.run([*check, "-sigfile", signature], capture_output=True, check=False).returncode == 0
    sign = ("openssl", "pkeyutl", "-sign", "-inkey", private, "-rawin", "-in", checksums, "-out", tmp_path / "sig")
    subprocess.run(sign, capture_output=True, check=True)
    assert (tmp_path / "sig").read_bytes() == signature.read_bytes()  # Ed25519 has no random numbers


def test_what_is_no_key_is_refused(bundle: Path, keys: tuple[Path, Path], tmp_path: Path, dogvscat: Dogvscat) -> None:
    private, public = keys
    (tmp_path / "text").write_text("no key")
    _, curve = write_keys(tmp_path, ec.generate_private_key(ec.SECP256R1()), "curve")
    for key, message in (
        (tmp_path / "nothing", "cannot be read: No such file"),
        (tmp_path, "cannot be read: Is a directory"),
        (tmp_path / "text", "is not a public key in PEM"),
        (private, "is not a public key in PEM"),
        (curve, "holds another kind of key, expected Ed25519"),
    ):
        with pytest.raises(UsageError, match=message):
            load_bundle(bundle, key)
    refused = dogvscat("sign", bundle, "--key", public)
    assert refused.returncode == 2
    assert "is not a private key in PEM" in refused.stderr
    assert "hint: Make keys with: openssl" in refused.stderr


def test_without_the_extra_a_sentence_says_how_to_install_it(bundle: Path, keys: tuple[Path, Path]) -> None:
    script = (
        "import sys; sys.modules['cryptography'] = None\n"
        f"from dogvscat.cli.main import main\nsys.exit(main(['sign', {str(bundle)!r}, '--key', {str(keys[0])!r}]))"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert "signatures need the extra `sign`, and cryptography is not installed" in result.stderr
    assert "pip install 'dogvscat[sign]'" in result.stderr
