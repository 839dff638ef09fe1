"""Signatures of a folder, ours and ssh-keygen's: each accepts the other's, and nothing else."""

from __future__ import annotations

import base64
import pathlib
import shutil
import subprocess

import pytest

from schemas.errors import UserError
from schemas.folder import LocalFolder
from schemas.signature import fault, private_key, public_keys, sign
from schemas.validate import Options, examine
from tests.schemas.damage import RUN, SIGNATURE, setting

KEYGEN = shutil.which("ssh-keygen")
needs_keygen = pytest.mark.skipif(KEYGEN is None, reason="ssh-keygen is not installed here")
pytestmark = needs_keygen  # also to make the keys


def keygen(*argv: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([str(KEYGEN), *argv], input=stdin, capture_output=True)


@pytest.fixture(scope="module")
def keys(tmp_path_factory) -> pathlib.Path:
    """Keys: `key` and `other` (Ed25519), `rsa`, and `locked`, which has a passphrase."""
    folder = tmp_path_factory.mktemp("keys")
    for name, kind, word in (
        ("key", "ed25519", ""),
        ("other", "ed25519", ""),
        ("rsa", "rsa", ""),
        ("locked", "ed25519", "secret"),
    ):
        assert keygen("-q", "-t", kind, "-N", word, "-C", name, "-f", str(folder / name)).returncode == 0
    return folder


@pytest.fixture
def signed(folder, keys):
    (folder / SIGNATURE).write_bytes(sign((folder / RUN).read_bytes(), private_key(str(keys / "key"))))
    return folder


def found(folder, key: pathlib.Path, deep: bool = False) -> list[str]:
    return [str(d) for d in examine(LocalFolder(str(folder)), Options(deep=deep, public_key=str(key))).defects]


def test_what_we_sign_we_accept(signed, keys):
    assert found(signed, keys / "key.pub", deep=True) == []


def test_what_we_sign_ssh_keygen_accepts(signed, keys, tmp_path):
    (tmp_path / "signers").write_text(f'me namespaces="leafinstruct" {(keys / "key.pub").read_text()}')
    done = keygen(
        "-Y",
        "verify",
        "-n",
        "leafinstruct",
        "-f",
        str(tmp_path / "signers"),
        "-I",
        "me",
        "-s",
        str(signed / SIGNATURE),
        stdin=(signed / RUN).read_bytes(),
    )
    assert done.returncode == 0 and b"Good" in done.stdout, done.stderr


@pytest.mark.parametrize("digest", ["sha512", "sha256"])
def test_what_ssh_keygen_signs_we_accept(folder, keys, digest):
    done = keygen(
        "-Y", "sign", "-n", "leafinstruct", "-O", f"hashalg={digest}", "-f", str(keys / "key"), str(folder / RUN)
    )
    assert done.returncode == 0, done.stderr
    assert found(folder, keys / "key.pub", deep=True) == []


def test_one_of_several_keys_is_enough(signed, keys, tmp_path):
    (tmp_path / "keys").write_text(f"# ours\n{(keys / 'other.pub').read_text()}\n{(keys / 'key.pub').read_text()}")
    assert found(signed, tmp_path / "keys") == []


def test_a_folder_that_is_changed_everywhere_is_told_by_its_signature(signed, keys):
    setting("libraries", value={"pyarrow": "0"})(signed)  # nothing else says which versions there were
    assert examine(LocalFolder(str(signed)), Options(deep=True)).defects == ()
    assert found(signed, keys / "key.pub") == ["run.json.sig: is not of this run.json [signature]"]


def _without(folder):
    (folder / SIGNATURE).unlink()


def _text(change):
    return lambda folder: (folder / SIGNATURE).write_bytes(change((folder / SIGNATURE).read_bytes()))


def _blob(change):
    """Other bytes inside the armour."""

    def changed(text: bytes) -> bytes:
        begin, *lines, end = text.splitlines()
        return b"\n".join([begin, base64.b64encode(change(base64.b64decode(b"".join(lines)))), end, b""])

    return _text(changed)


@pytest.mark.parametrize(
    "damage, says",
    [
        (_without, "is not there: the folder is not signed"),
        (_text(lambda t: b""), "cannot be read as a signature"),
        (_text(lambda t: t[:100]), "cannot be read as a signature"),
        (_text(lambda t: t.replace(b"SSH SIGNATURE", b"PGP SIGNATURE")), "cannot be read as a signature"),
        (_text(lambda t: t.replace(b"U", b"\xff", 1)), "cannot be read as a signature"),
        (_text(lambda t: t * 100), "cannot be read"),
        (_text(lambda t: t + bytes(5000)), "more than 4,096 bytes"),
        (_blob(lambda b: b""), "another version"),
        (_blob(lambda b: b[:6] + b"\0\0\0\2" + b[10:]), "another version"),
        (_blob(lambda b: b[:-1]), "breaks off"),
        (_blob(lambda b: b + b"\0"), "cannot be read"),
        (_blob(lambda b: b + b"\0\0\0\0"), "6 fields"),
        (_blob(lambda b: b[:10] + b"\xff" * 4 + b[14:]), "breaks off"),
        (_blob(lambda b: b[:-1] + bytes([b[-1] ^ 1])), "is not of this run.json"),
        (_blob(lambda b: b.replace(b"leafinstruct", b"leafinstrukt")), "for b'leafinstrukt'"),
        (_blob(lambda b: b.replace(b"\0\0\0\6sha512", b"\0\0\0\4sha1")), "is wanted"),
    ],
)
def test_a_damaged_signature_is_a_defect(signed, keys, damage, says):
    damage(signed)
    (problem,) = found(signed, keys / "key.pub")
    assert problem.startswith(f"{SIGNATURE}: ") and problem.endswith("[signature]") and says in problem


def test_any_changed_byte_of_a_signature_is_noticed(signed, keys):
    data, known = (signed / RUN).read_bytes(), public_keys(str(keys / "key.pub"))
    begin, *lines, end = (signed / SIGNATURE).read_bytes().splitlines()
    blob = base64.b64decode(b"".join(lines))
    for at in range(len(blob)):
        changed = blob[:at] + bytes([blob[at] ^ 1]) + blob[at + 1 :]
        assert fault(data, b"\n".join([begin, base64.b64encode(changed), end]), known), at
    assert fault(data, b"\n".join([begin, base64.b64encode(blob), end]), known) == ""


def test_another_key_is_told(signed, keys):
    assert found(signed, keys / "other.pub") == ["run.json.sig: is by a key that was not given [signature]"]


def test_a_signature_for_something_else_is_none(folder, keys):
    assert keygen("-Y", "sign", "-n", "git", "-f", str(keys / "key"), str(folder / RUN)).returncode == 0
    assert "for b'git'" in found(folder, keys / "key.pub")[0]


def test_without_a_key_the_signature_is_said_to_be_unchecked(signed):
    assert examine(LocalFolder(str(signed)), Options(deep=True)).unchecked == ("the signature (--public-key FILE)",)


@pytest.mark.parametrize(
    "name, says",
    [
        ("locked", "has a passphrase; .*ssh-keygen -Y sign"),
        ("rsa", "is no Ed25519 key"),
        ("key.pub", "is no OpenSSH priv"),
        ("nothing", "is no OpenSSH private key"),
    ],
)
def test_a_key_that_cannot_sign(keys, name, says):
    with pytest.raises(UserError, match=says):
        private_key(str(keys / name))


@pytest.mark.parametrize(
    "name, says",
    [("rsa.pub", "must hold Ed25519"), ("key", "holds no OpenSSH public keys"), ("nothing", "holds no OpenSSH public")],
)
def test_a_key_that_cannot_verify(keys, name, says):
    with pytest.raises(UserError, match=says):
        public_keys(str(keys / name))


def test_a_key_of_another_kind_is_not_passed_over_among_good_ones(keys, tmp_path):
    (tmp_path / "both.pub").write_text((keys / "key.pub").read_text() + (keys / "rsa.pub").read_text())
    with pytest.raises(UserError, match="must hold Ed25519 public keys, and no others"):
        public_keys(str(tmp_path / "both.pub"))
