"""A signature of run.json, and so of every file of a folder: Ed25519 in OpenSSH's SSHSIG format.

`ssh-keygen -Y sign -n leafinstruct -f KEY run.json` makes the same file, and
`ssh-keygen -Y verify -n leafinstruct -f SIGNERS -I NAME -s run.json.sig < run.json` checks ours. The format is OpenSSH's
PROTOCOL.sshsig; the arithmetic is the package cryptography's.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import pathlib
import struct
import textwrap
from collections.abc import Sequence

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_ssh_private_key,
    load_ssh_public_key,
)

from schemas.errors import UserError

NAMESPACE = b"leafinstruct"
"""The purpose that is part of the signature: a signature made for a mail or a commit is refused."""
MOST = 4096
"""The largest signature file in bytes."""

_BEGIN, _END = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"
_MAGIC, _HASH, _KIND = b"SSHSIG", b"sha512", b"ssh-ed25519"


def private_key(path: str) -> Ed25519PrivateKey:
    """The key in an OpenSSH private key file without a passphrase. Raises UserError."""
    try:
        key = load_ssh_private_key(pathlib.Path(path).read_bytes(), None)
    except TypeError as error:
        raise UserError(
            f"{path} has a passphrase; build without --sign, then run: ssh-keygen -Y sign -n leafinstruct "
            f"-f {path} run.json"
        ) from error
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        raise UserError(f"{path} is no OpenSSH private key ({error}); make one: ssh-keygen -t ed25519") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise UserError(f"{path} is no Ed25519 key; make one: ssh-keygen -t ed25519")
    return key


def public_keys(path: str) -> list[Ed25519PublicKey]:
    """The keys in a file of OpenSSH public keys, one a line (`ssh-ed25519 AAAA... comment`). Raises UserError."""
    try:
        lines = pathlib.Path(path).read_text(encoding="utf-8").splitlines()
        keys = [load_ssh_public_key(line.encode()) for line in lines if line.strip() and not line.startswith("#")]
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        raise UserError(f"{path} holds no OpenSSH public keys, one a line ({error})") from error
    found = [key for key in keys if isinstance(key, Ed25519PublicKey)]
    if not found or len(found) < len(keys):
        raise UserError(f"{path} must hold Ed25519 public keys, and no others: lines that begin with ssh-ed25519")
    return found


def sign(data: bytes, key: Ed25519PrivateKey) -> bytes:
    """The content of a signature file for `data`, signed with `key`."""
    signature = _string(_KIND) + _string(key.sign(_to_sign(data)))
    blob = (
        _MAGIC
        + struct.pack(">I", 1)
        + _string(_key_blob(key.public_key()))
        + _string(NAMESPACE)
        + _string(b"")
        + _string(_HASH)
        + _string(signature)
    )
    lines = textwrap.wrap(base64.b64encode(blob).decode(), 70)
    return "\n".join([_BEGIN, *lines, _END, ""]).encode()


def fault(data: bytes, signature: bytes, keys: Sequence[Ed25519PublicKey]) -> str:
    """Why a signature file is not a signature of `data` by one of the keys; empty if it is one."""
    lines = signature.decode(errors="replace").strip().splitlines()
    try:
        if not lines or lines[0] != _BEGIN or lines[-1] != _END:
            raise ValueError("no SSH signature")
        fields = _fields(base64.b64decode("".join(lines[1:-1]), validate=True))
        blob, namespace, reserved, digest, signed = fields
        kind, raw = _strings(signed)
    except (ValueError, binascii.Error, struct.error) as error:
        return f"cannot be read as a signature of ssh-keygen's: {error}"
    if (namespace, reserved, kind) != (NAMESPACE, b"", _KIND) or digest not in (b"sha256", b"sha512"):
        return f"is an {kind!r} signature for {namespace!r}; an Ed25519 signature for {NAMESPACE!r} is wanted"
    for key in keys:
        if _key_blob(key) == blob:
            try:
                key.verify(raw, _to_sign(data, digest))
                return ""
            except InvalidSignature:
                return "is not of this run.json"
    return "is by a key that was not given"


def _to_sign(data: bytes, digest: bytes = _HASH) -> bytes:
    return (
        _MAGIC
        + _string(NAMESPACE)
        + _string(b"")
        + _string(digest)
        + _string(hashlib.new(digest.decode(), data).digest())
    )


def _key_blob(key: Ed25519PublicKey) -> bytes:
    return _string(_KIND) + _string(key.public_bytes(Encoding.Raw, PublicFormat.Raw))


def _string(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def _fields(blob: bytes) -> list[bytes]:
    """Key, namespace, reserved, hash and signature."""
    if not blob.startswith(_MAGIC + struct.pack(">I", 1)):
        raise ValueError("another version of the format")
    fields = _strings(blob[len(_MAGIC) + 4 :])
    if len(fields) != 5:
        raise ValueError(f"{len(fields)} fields, where there have to be 5")
    return fields


def _strings(data: bytes) -> list[bytes]:
    found, at = [], 0
    while at < len(data):
        (size,) = struct.unpack_from(">I", data, at)
        if at + 4 + size > len(data):
            raise ValueError("it breaks off")
        found.append(data[at + 4 : at + 4 + size])
        at += 4 + size
    return found
