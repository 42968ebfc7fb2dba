import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa, x25519
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from liteport.errors import AlreadyExistsError, InvalidInputError, NotFoundError
from liteport.runtime.keys import Key, fingerprint, new_key, read_private_key, read_public_keys

# RFC 8032, section 7.1, test 1; the fingerprint is `openssl pkey -pubout -outform DER | sha256sum` of the same key.
SEED = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
PUBLIC = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
FINGERPRINT = "06e3fd8fda29bb60ab59557de61edb0aecdb231134be30e75b455f8e1b792fa9"

PEM = serialization.Encoding.PEM
PKCS8 = serialization.PrivateFormat.PKCS8
SPKI = serialization.PublicFormat.SubjectPublicKeyInfo
PLAIN = serialization.NoEncryption()

KEY = Ed25519PrivateKey.from_private_bytes(SEED)
PRIVATE_PEM = KEY.private_bytes(PEM, PKCS8, PLAIN)
PUBLIC_PEM = KEY.public_key().public_bytes(PEM, SPKI)
ENCRYPTED_PEM = KEY.private_bytes(PEM, PKCS8, serialization.BestAvailableEncryption("pässword".encode()))


@pytest.fixture
def file(tmp_path: Path) -> Callable[[bytes], Path]:
    def write(content: bytes) -> Path:
        path = tmp_path / "key.pem"
        path.write_bytes(content)
        return path

    return write


def test_a_public_key_is_read_from_each_form(file: Callable[[bytes], Path]) -> None:
    path = file(PUBLIC_PEM)
    forms: list[Key] = [path, str(path), PUBLIC_PEM, PUBLIC_PEM.decode(), PUBLIC, b"a comment\n" + PUBLIC_PEM]
    for form in forms:
        (found,) = read_public_keys(form).items()
        assert found[0] == FINGERPRINT == fingerprint(found[1])
        assert found[1].public_bytes_raw() == PUBLIC
    other = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    assert list(read_public_keys([other, path, PUBLIC]))[1:] == [FINGERPRINT]
    assert FINGERPRINT in read_public_keys((PUBLIC_PEM, other))


def test_a_private_key_is_read_from_each_form(file: Callable[[bytes], Path]) -> None:
    for form in (file(PRIVATE_PEM), PRIVATE_PEM, PRIVATE_PEM.decode()):
        assert read_private_key(form).private_bytes_raw() == SEED


@pytest.mark.parametrize("password", ["pässword", lambda: "pässword"], ids=["text", "asked"])
def test_an_encrypted_key_is_read_by_its_password(password: Any) -> None:
    assert read_private_key(ENCRYPTED_PEM, password).private_bytes_raw() == SEED


def test_no_password_is_asked_for_a_key_that_needs_none() -> None:
    def ask() -> str:
        raise AssertionError

    assert read_private_key(PRIVATE_PEM, ask).private_bytes_raw() == SEED
    assert read_private_key(PRIVATE_PEM, "any").private_bytes_raw() == SEED


@pytest.mark.parametrize("password", [None, "", "password", "x" * 5000])
def test_a_password_that_does_not_fit_is_told(password: str | None, file: Callable[[bytes], Path]) -> None:
    path = file(ENCRYPTED_PEM)
    with pytest.raises(
        InvalidInputError, match=r"is encrypted; pass its password|the right password where it is"
    ) as caught:
        read_private_key(path, password)
    assert str(caught.value).startswith(str(path))


def public_pem(key: Any) -> bytes:
    pem: bytes = key.public_key().public_bytes(PEM, SPKI)
    return pem


def private_pem(key: Any) -> bytes:
    pem: bytes = key.private_bytes(PEM, PKCS8, PLAIN)
    return pem


OTHER_KINDS = [
    rsa.generate_private_key(65537, 1024),
    ec.generate_private_key(ec.SECP256R1()),
    ed448.Ed448PrivateKey.generate(),
    x25519.X25519PrivateKey.generate(),
]
JUNK = [
    b"",
    b"junk",
    bytes(31),
    b"\xff" * 33,
    b"-----BEGIN PUBLIC KEY-----\n",
    b"-----BEGIN PUBLIC KEY-----\n\n-----END PUBLIC KEY-----\n",
    b"-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n-----END PUBLIC KEY-----\n",
    PUBLIC_PEM.replace(b"MCow", b"MCox"),
    PUBLIC_PEM[:-30],
    KEY.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH),
]


def numbered(contents: list[bytes]) -> list[Any]:
    """Parameters of fixed names: keys of the other kinds are drawn anew by each process that runs tests."""
    return [pytest.param(content, id=f"{number}") for number, content in enumerate(contents)]


@pytest.mark.parametrize("content", numbered([*JUNK, *map(public_pem, OTHER_KINDS)]))
def test_what_is_no_public_key_is_refused(content: bytes, file: Callable[[bytes], Path]) -> None:
    path = file(content)
    for form in (content, path, [PUBLIC, content]):
        with pytest.raises(InvalidInputError, match=r"expected an Ed25519 public key in PEM$") as caught:
            read_public_keys(form)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", numbered([*JUNK, PUBLIC, PUBLIC_PEM, *map(private_pem, OTHER_KINDS)]))
def test_what_is_no_private_key_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidInputError, match=r"^the key .*expected an Ed25519 private key in PEM, and"):
        read_private_key(content)


@pytest.mark.parametrize("content", [PRIVATE_PEM, ENCRYPTED_PEM])
def test_a_private_key_is_not_taken_for_a_public_one_nor_shown(content: bytes) -> None:
    with pytest.raises(InvalidInputError, match="is a private key, which stays with who signs") as caught:
        read_public_keys(content.decode())
    assert content.splitlines()[1].decode() not in str(caught.value)


@pytest.mark.parametrize("content", [PUBLIC_PEM + PUBLIC_PEM, PUBLIC_PEM + b"#" * (1 << 16)])
def test_several_keys_in_one_file_are_refused(content: bytes) -> None:
    with pytest.raises(InvalidInputError, match="holds more than one key; pass several as a list"):
        read_public_keys(content)


@pytest.mark.parametrize("given_keys", [[], ()])
def test_no_key_at_all_is_refused(given_keys: Any) -> None:
    with pytest.raises(InvalidInputError, match="public_key is empty"):
        read_public_keys(given_keys)


@pytest.mark.parametrize("key", [3, [None], [[PUBLIC]], bytearray(PUBLIC), {"key": 1}])
def test_what_is_no_key_by_its_type_is_refused(key: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"^a key is a \w+; expected a path, a PEM or 32 bytes$"):
        read_public_keys(key)


@pytest.mark.parametrize("read", [read_public_keys, read_private_key])
def test_a_key_file_that_is_not_there_is_told(read: Callable[[Any], Any], tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"the key .*none\.pem does not exist; liteport sign --new-key makes one"):
        read(tmp_path / "none.pem")
    for path in (tmp_path, "", "a\0b"):
        with pytest.raises(InvalidInputError, match="cannot be read"):
            read(path)


def test_keys_for_which_anyone_can_sign_are_refused() -> None:
    """All encodings of points of small order: both signs of x, and y past the prime, which libraries accept."""
    prime = 2**255 - 19
    d = -121665 * pow(121666, -1, prime) % prime
    # With x² = -y² a point doubles to (±1, 0), which has order 4: the curve -x² + y² = 1 + d x² y² becomes this.
    order_8 = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
    assert (d * order_8**4 + 2 * order_8**2 - 1) % prime == 0
    for y in (0, 1, prime - 1, prime, prime + 1, order_8, prime - order_8):
        for sign in (0, 1 << 255):
            with pytest.raises(InvalidInputError, match="the key is a public key for which anyone can sign"):
                read_public_keys((y | sign).to_bytes(32, "little"))


@given(content=st.binary(max_size=200))
def test_any_bytes_are_a_key_or_refused(content: bytes) -> None:
    for read in (read_public_keys, read_private_key):
        try:
            read(content)
        except InvalidInputError:
            continue
        assert len(content) == 32


@given(position=st.integers(0, len(ENCRYPTED_PEM) - 1), byte=st.integers(0, 255))
def test_a_damaged_file_is_a_key_or_refused(position: int, byte: int) -> None:
    for pem in (PUBLIC_PEM, PRIVATE_PEM, ENCRYPTED_PEM):
        damaged = bytearray(pem)
        damaged[position % len(pem)] = byte
        with suppress(InvalidInputError):
            read_public_keys(bytes(damaged))
        with suppress(InvalidInputError):
            read_private_key(bytes(damaged), "password")


@pytest.mark.parametrize("password", [None, "", "pässword", lambda: "pässword"], ids=["none", "empty", "text", "asked"])
def test_a_new_pair_is_read_back(password: Any, tmp_path: Path) -> None:
    old = os.umask(0)  # nothing but the code itself keeps the file private
    try:
        public = new_key(tmp_path / "private.pem", password)
    finally:
        os.umask(old)
    private = tmp_path / "private.pem"
    assert public == tmp_path / "private.pub.pem"
    assert sorted(tmp_path.iterdir()) == [private, public]
    assert [stat.S_IMODE(path.stat().st_mode) for path in (private, public)] == [0o600, 0o644]
    assert (b"ENCRYPTED" in private.read_bytes()) == bool(password)
    assert list(read_public_keys(public)) == [fingerprint(read_private_key(private, password).public_key())]


def test_new_pairs_differ(tmp_path: Path) -> None:
    assert len(read_public_keys([new_key(tmp_path / name) for name in ("a.pem", "b.key", "c")])) == 3
    assert {path.name for path in tmp_path.glob("*.pub.pem")} == {"a.pub.pem", "b.pub.pem", "c.pub.pem"}


def test_a_folder_is_no_name_for_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("", ".", "..", tmp_path):
        with pytest.raises(AlreadyExistsError):
            new_key(name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("there", ["private.pem", "private.pub.pem"])
@pytest.mark.parametrize("kind", ["file", "dangling link"])
def test_a_key_is_never_replaced(there: str, kind: str, tmp_path: Path) -> None:
    path = tmp_path / there
    if kind == "file":
        path.write_text("old")
    else:
        path.symlink_to(tmp_path / "nowhere")
    with pytest.raises(AlreadyExistsError, match=rf"{there} exists already, and a key is never replaced"):
        new_key(tmp_path / "private.pem", "password")
    assert list(tmp_path.iterdir()) == [path]


def test_a_key_is_not_made_in_a_bundle(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").touch()
    with pytest.raises(InvalidInputError, match="would lie in a bundle and be handed on with it"):
        new_key(tmp_path / "private.pem")
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.json"]


def test_half_a_pair_is_not_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.open

    def full(path: Path, *arguments: Any) -> int:
        if path.name == "private.pub.pem":
            raise OSError(28, "No space left on device", str(path))
        return real(path, *arguments)

    monkeypatch.setattr(os, "open", full)
    with pytest.raises(OSError, match="No space left"):
        new_key(tmp_path / "private.pem")
    assert not list(tmp_path.iterdir())
