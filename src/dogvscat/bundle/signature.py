"""Ed25519 signatures of bundles: they show who published one. The checksums only show that nothing was changed since.

The signature is of the bytes of `SHA256SUMS`, which depend on every byte of the bundle. It lies next to that file, raw,
64 bytes. OpenSSL checks it as well:

    openssl pkeyutl -verify -pubin -inkey public.pem -rawin -in SHA256SUMS -sigfile SHA256SUMS.sig

Source: Josefsson and Liusvaara, Edwards-Curve Digital Signature Algorithm, RFC 8032.
"""

from pathlib import Path
from typing import Any

from dogvscat.bundle.checksums import CHECKSUMS_FILE, Checksums
from dogvscat.errors import ModelError, UsageError

SIGNATURE_FILE = f"{CHECKSUMS_FILE}.sig"
_NUM_BYTES = 64
_MOST_KEY_BYTES = 16 * 1024
_MAKE_KEYS = (
    "Make keys with: openssl genpkey -algorithm ed25519 -out private.pem && "
    "openssl pkey -in private.pem -pubout -out public.pem"
)


def sign(checksums: Checksums, private_key: Path) -> bytes:
    """The signature of a bundle.

    Args:
        checksums: Of the bundle.
        private_key: A PEM file with an Ed25519 key, without a password.

    Raises:
        UsageError: if there is no such key, or `cryptography` is not installed.
    """
    serialization, ed25519 = _import_cryptography()
    try:
        key = serialization.load_pem_private_key(_read_key(private_key), password=None)
    except (ValueError, TypeError) as error:  # TypeError: it has a password
        raise UsageError(f"{private_key} is not a private key in PEM: {error}", hint=_MAKE_KEYS) from None
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise UsageError(f"{private_key} holds another kind of key, expected Ed25519", hint=_MAKE_KEYS)
    return bytes(key.sign(checksums.serialize()))


def require_signature(folder: Path, checksums: Checksums, public_key: Path) -> None:
    """Refuse a bundle that nobody signed with the private key of this public key.

    Args:
        folder: The bundle.
        checksums: Of the bundle.
        public_key: A PEM file with an Ed25519 key.

    Raises:
        ModelError: if the signature is missing or is of another key or of other files.
        UsageError: if there is no such key, or `cryptography` is not installed.
    """
    serialization, ed25519 = _import_cryptography()
    from cryptography.exceptions import InvalidSignature

    try:
        key = serialization.load_pem_public_key(_read_key(public_key))
    except ValueError as error:
        raise UsageError(f"{public_key} is not a public key in PEM: {error}", hint=_MAKE_KEYS) from None
    if not isinstance(key, ed25519.Ed25519PublicKey):
        raise UsageError(f"{public_key} holds another kind of key, expected Ed25519", hint=_MAKE_KEYS)
    file = folder / SIGNATURE_FILE
    hint = "Do not use it, or ask its publisher for a signed one. `dogvscat sign` signs a bundle."
    try:
        with file.open("rb") as stream:
            signature = stream.read(_NUM_BYTES + 1)
    except OSError as error:
        raise ModelError(
            f"{folder} is not signed: {SIGNATURE_FILE} cannot be read: {error.strerror}", hint=hint
        ) from None
    try:
        key.verify(signature, checksums.serialize())
    except InvalidSignature:
        raise ModelError(f"the signature of {folder} does not match the key in {public_key}", hint=hint) from None


def _read_key(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_MOST_KEY_BYTES)
    except OSError as error:
        raise UsageError(f"the key {path} cannot be read: {error.strerror or error}", hint=_MAKE_KEYS) from None


def _import_cryptography() -> tuple[Any, Any]:
    """The modules `serialization` and `ed25519`, imported only where they are needed."""
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError:
        hint = "Install it with: pip install 'dogvscat[sign]'"
        raise UsageError("signatures need the extra `sign`, and cryptography is not installed", hint=hint) from None
    return serialization, ed25519
