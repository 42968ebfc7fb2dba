import getpass
import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from liteport.errors import (
    IntegrityError,
    InvalidInputError,
    LiteportError,
    MissingDependencyError,
    NotFoundError,
    SignatureError,
)
from liteport.files import new_folder
from liteport.runtime import Manifest, load, read_bundle, signatures, signing_commands
from liteport.runtime.cli import run
from liteport.runtime.keys import fingerprint, new_key
from liteport.runtime.records import FileInfo
from liteport.runtime.signatures import check_signature, signature_of
from liteport.runtime.signing import sign as sign_bundle

Edit = Callable[[Path, Callable[[Manifest], Manifest]], Path]

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes_raw()
MANIFEST = b'{"schema_version": 1, "name": "n\xc3\xa4me"}\n' * 20
SIGNATURE = signature_of(MANIFEST, KEY)

# RFC 8032, section 7.1, tests 1 to 3: private key, message, signature.
RFC_8032 = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe"
        "24655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302a"
        "eeb00d291612bb0c00",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed2"
        "8dc027beceea1ec40a",
    ),
]


@pytest.fixture
def bundle(manifest: Manifest, tmp_path: Path) -> Path:
    """A bundle of three files, which no engine would take but whose digests fit."""
    contents = {"tflite-int8.tflite": b"first", "onnx-int8.onnx": b"second", "more.h": b"third"}
    files = {name: FileInfo(name, sha256(content).hexdigest(), len(content)) for name, content in contents.items()}
    variants = [replace(entry, **vars(files[entry.file])) for entry in manifest.variants]
    variants[1] = replace(variants[1], more_files=(files["more.h"],))
    path = tmp_path / "bundle"
    path.mkdir()
    for name, content in contents.items():
        (path / name).write_bytes(content)
    (path / "manifest.json").write_text(replace(manifest, variants=tuple(variants)).to_json(), encoding="utf-8")
    return path


@pytest.fixture
def private(tmp_path: Path) -> Path:
    new_key(tmp_path / "private.pem")
    return tmp_path / "private.pem"


@pytest.fixture
def public(private: Path) -> Path:
    return private.with_suffix(".pub.pem")


@pytest.fixture
def signed(bundle: Path, private: Path) -> Path:
    sign_bundle(bundle, private)
    return bundle


@pytest.mark.parametrize(("seed", "message", "expected"), RFC_8032)
def test_signatures_are_those_of_rfc_8032(
    seed: str, message: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signatures, "_DOMAIN", b"")
    key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(seed))
    text = signature_of(bytes.fromhex(message), key)
    assert text.splitlines()[2] == f"signature {expected}".encode()
    name = check_signature(bytes.fromhex(message), text, key.public_key().public_bytes_raw(), "bundle")
    assert name == fingerprint(key.public_key())


def test_the_file_is_as_another_program_computes_it() -> None:
    """By OpenSSL 3.0: `pkeyutl -sign -rawin` of the domain and the manifest, and the SHA-256 of the key in DER."""
    key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(RFC_8032[0][0]))
    assert signature_of(b'{"schema_version": 1}\n', key) == (
        b"liteport signature 1 ed25519\n"
        b"key 06e3fd8fda29bb60ab59557de61edb0aecdb231134be30e75b455f8e1b792fa9\n"
        b"signature 6a6c0b6c17cd3f0e7dd92bac0ad6579e6ae23fde3bfb7ddccda5e047ccf2c983"
        b"40318ea14a5a90a2ddf3d7ec11056b5aacb0c79952f8bf1387ac858bfd660c0c\n"
    )


def test_a_signature_of_the_manifest_alone_is_refused() -> None:
    """One that the key made in another program, without the domain."""
    plain = SIGNATURE[:-129] + KEY.sign(MANIFEST).hex().encode() + b"\n"
    with pytest.raises(SignatureError, match="is not what key"):
        check_signature(MANIFEST, plain, PUBLIC, "bundle")


def refused(manifest: bytes, signature: bytes) -> None:
    with pytest.raises(SignatureError) as caught:
        check_signature(manifest, signature, PUBLIC, "bundle")
    assert "\n" not in str(caught.value)


def test_no_bit_of_the_signature_can_be_changed() -> None:
    for bit in range(8 * len(SIGNATURE)):
        changed = bytearray(SIGNATURE)
        changed[bit // 8] ^= 1 << bit % 8
        refused(MANIFEST, bytes(changed))


def test_no_byte_of_the_manifest_can_be_changed() -> None:
    for position in range(len(MANIFEST)):
        changed = bytearray(MANIFEST)
        changed[position] ^= 1 << position % 8
        refused(bytes(changed), SIGNATURE)


@given(position=st.integers(0, 1000), cut=st.integers(0, 3), put=st.binary(max_size=3), of_manifest=st.booleans())
def test_nothing_can_be_replaced_inserted_or_left_out(position: int, cut: int, put: bytes, of_manifest: bool) -> None:
    content = MANIFEST if of_manifest else SIGNATURE
    start = position % (len(content) + 1)
    changed = content[:start] + put + content[start + cut :]
    pair = (changed, SIGNATURE) if of_manifest else (MANIFEST, changed)
    if changed == content:
        check_signature(*pair, PUBLIC, "bundle")
    else:
        refused(*pair)


@pytest.mark.parametrize("where", ["manifest.json", "manifest.sig"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 1.0])
def test_a_changed_file_is_refused(where: str, share: float, signed: Path, public: Path) -> None:
    path = signed / where
    content = bytearray(path.read_bytes())
    content[int(share * (len(content) - 1))] ^= 2
    path.write_bytes(content)
    with pytest.raises(SignatureError, match=rf"^{signed} "):
        read_bundle(signed, public_key=public)


def test_a_signed_bundle_is_read(signed: Path, public: Path) -> None:
    name = fingerprint(KEY.public_key())
    assert sign_bundle(signed, KEY_PEM) == name
    found = read_bundle(signed, public_key=[public, PUBLIC])
    found.check()
    assert found.signed_by == name
    assert found.manifest == read_bundle(signed).manifest
    assert read_bundle(signed).signed_by is None  # not asked, so not said


KEY_PEM = (
    b"-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n"
    b"-----END PRIVATE KEY-----\n"
)


def test_an_unsigned_bundle_is_refused_where_a_key_is_given(bundle: Path, public: Path) -> None:
    with pytest.raises(SignatureError, match=r"bundle is not signed: it holds no manifest\.sig; sign it, or get"):
        read_bundle(bundle, public_key=public)


@pytest.mark.parametrize("nothing", [[], (), "", b"", [""]], ids=repr)
def test_an_unset_option_does_not_pass_for_no_check(nothing: Any, signed: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"public_key is empty|cannot be read"):
        read_bundle(signed, public_key=nothing)


def test_the_signature_of_another_bundle_is_refused(signed: Path, public: Path, edit: Edit) -> None:
    edit(signed, lambda manifest: replace(manifest, name="other"))  # with a digest that fits
    assert read_bundle(signed).manifest.name == "other"
    with pytest.raises(SignatureError, match=r"is not what key [0-9a-f]{64} signed: its manifest or its signature"):
        read_bundle(signed, public_key=public)


def test_another_key_is_refused_and_both_are_named(signed: Path, public: Path) -> None:
    signer = read_bundle(signed, public_key=public).signed_by
    expected = fingerprint(KEY.public_key())
    with pytest.raises(SignatureError, match=f"is signed by key {signer}, which is not trusted; expected {expected}$"):
        read_bundle(signed, public_key=PUBLIC)


def test_the_signature_is_checked_before_anything_is_parsed(signed: Path, public: Path) -> None:
    (signed / "manifest.json").write_text("{" * 1000)
    with pytest.raises(SignatureError):
        read_bundle(signed, public_key=public)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"junk",
        SIGNATURE[:-1],
        SIGNATURE + b"\n",
        SIGNATURE * 2,
        SIGNATURE.replace(b"\n", b"\r\n"),
        SIGNATURE.upper(),
        b"\xef\xbb\xbf" + SIGNATURE,
        SIGNATURE.replace(b"ed25519", b"none"),
        SIGNATURE.replace(b"signature 1", b"signature 2"),
        b"x" * (10 << 20),
    ],
    ids=lambda content: str(content)[:40],
)
def test_a_malformed_signature_is_refused(content: bytes, signed: Path, public: Path) -> None:
    (signed / "manifest.sig").write_bytes(content)
    with pytest.raises(SignatureError, match=r"has a manifest\.sig that is no signature of liteport"):
        read_bundle(signed, public_key=public)


@pytest.mark.parametrize("kind", ["link", "dangling link", "folder", "pipe"])
def test_a_signature_that_is_no_file_is_refused(kind: str, signed: Path, public: Path) -> None:
    path = signed / "manifest.sig"
    moved = path.rename(signed.parent / "elsewhere")
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(moved if kind == "link" else "nowhere")
    with pytest.raises(SignatureError, match=r"manifest\.sig is no file that can be read"):
        read_bundle(signed, public_key=public)


@pytest.mark.parametrize("name", ["tflite-int8.tflite", "more.h"])
def test_a_damaged_bundle_is_not_signed(name: str, signed: Path, private: Path) -> None:
    before = (signed / "manifest.sig").read_bytes()
    (signed / name).write_bytes(b"other")
    with pytest.raises(IntegrityError, match=rf"{name} is not the file that was exported"):
        sign_bundle(signed, private)
    assert (signed / "manifest.sig").read_bytes() == before


def test_signing_again_replaces_and_follows_no_link(signed: Path, public: Path) -> None:
    outside = signed.parent / "outside"
    outside.write_text("precious")
    (signed / "manifest.sig").unlink()
    (signed / "manifest.sig").symlink_to(outside)
    sign_bundle(signed, KEY_PEM)
    assert outside.read_text() == "precious"
    assert read_bundle(signed, public_key=PUBLIC).signed_by == fingerprint(KEY.public_key())
    with pytest.raises(SignatureError, match="not trusted"):
        read_bundle(signed, public_key=public)
    assert len(list(signed.iterdir())) == 5


def test_a_model_is_loaded_where_the_signature_holds(bundle_copy: Path, private: Path, public: Path) -> None:
    file = bundle_copy / "tflite-int8.tflite"
    with pytest.raises(SignatureError, match="is not signed"):
        load(file, public_key=public)
    sign_bundle(bundle_copy, private)
    for path, variant in ((bundle_copy, "tflite-int8"), (file, None)):
        with load(path, variant, public_key=public) as model:
            assert model.variant == "tflite-int8"
        with pytest.raises(SignatureError, match="not trusted"):
            load(path, variant, public_key=PUBLIC)


@pytest.mark.parametrize("place", ["bundle/copy.tflite", "elsewhere.tflite"])
def test_a_file_of_no_bundle_is_refused_where_a_key_is_given(
    place: str, bundle_copy: Path, private: Path, public: Path
) -> None:
    sign_bundle(bundle_copy, private)
    copy = bundle_copy.parent / place
    copy.write_bytes((bundle_copy / "tflite-int8.tflite").read_bytes())
    with pytest.raises(InvalidInputError, match="is no file of a bundle; public_key was given, and only bundles are"):
        load(copy, public_key=public)
    load(copy).close()


def test_no_signature_survives_a_new_export(signed: Path, public: Path) -> None:
    with new_folder(signed, force=True, marker="manifest.json") as folder:  # as an export writes it
        for path in signed.iterdir():
            if path.name != "manifest.sig":
                (folder / path.name).write_bytes(path.read_bytes())
    with pytest.raises(SignatureError, match="is not signed"):
        read_bundle(signed, public_key=public)


def test_without_the_package_nothing_passes_unchecked(
    signed: Path, private: Path, public: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "cryptography"]:
        monkeypatch.setitem(sys.modules, name, None)  # makes its import fail as if it were not there
    line = r'^cryptography is not installed; run: pip install "liteport\[sign\]"$'
    for call in (
        lambda: read_bundle(signed, public_key=public),
        lambda: sign_bundle(signed, private),
        lambda: new_key(signed.parent / "new.pem"),
    ):
        with pytest.raises(MissingDependencyError, match=line):
            call()
    read_bundle(signed).check()


def test_the_commands_make_a_key_sign_and_verify(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LITEPORT_KEY_PASSWORD", "secret")
    key, public = tmp_path / "k.pem", tmp_path / "k.pub.pem"
    assert run(["sign", "--new-key", str(key)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"wrote {key}, which stays with you",
        f"wrote {public}, for all who check your bundles",
        f"next: liteport sign BUNDLE --key {key}",
    ]
    assert b"ENCRYPTED" in key.read_bytes()
    assert run(["sign", str(bundle), "--key", str(key)]) == 0
    wrote, following = capsys.readouterr().out.splitlines()
    assert following == f"next: liteport verify {bundle} --public-key {public}"
    assert run(following.split()[2:]) == 0
    signer = wrote.split()[-1]
    assert wrote == f"wrote {bundle / 'manifest.sig'}, by key {signer}"
    assert capsys.readouterr().out == f"{bundle}: signed by key {signer}; all 3 files are as they were signed\n"


def test_verify_takes_several_keys_and_reads_every_file(signed: Path, public: Path, tmp_path: Path) -> None:
    other = new_key(tmp_path / "other.pem")
    assert run(["verify", str(signed), "--public-key", str(other), "--public-key", str(public)]) == 0
    with pytest.raises(SignatureError, match="not trusted"):
        run(["verify", str(signed), "--public-key", str(other)])
    (signed / "more.h").write_bytes(b"THIRD")
    with pytest.raises(IntegrityError, match=r"more\.h is not the file that was exported"):
        run(["verify", str(signed), "--public-key", str(public)])
    with pytest.raises(NotFoundError, match=r"the key .* does not exist"):
        run(["verify", str(signed), "--public-key", str(tmp_path / "none.pem")])


@pytest.mark.parametrize(
    "arguments",
    [[], ["bundle"], ["--key", "k.pem"], ["bundle", "--new-key", "k.pem"], ["--key", "k", "--new-key", "l"]],
)
def test_sign_wants_a_bundle_and_a_key_or_a_new_key(arguments: list[str], tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"expected BUNDLE and --key, or --new-key|--new-key stands alone") as caught:
        run(["sign", *arguments])
    assert not isinstance(caught.value, LiteportError)  # wrong usage, exit code 2


class Terminal:
    """Stands in for a terminal on which passwords are typed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: str) -> None:
        self.asked: list[str] = []
        self.answers = list(answers)
        monkeypatch.delenv("LITEPORT_KEY_PASSWORD", raising=False)
        monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
        monkeypatch.setattr(getpass, "getpass", self.ask)

    def ask(self, question: str) -> str:
        self.asked.append(question)
        return self.answers.pop(0)


def test_a_password_is_asked_for_on_a_terminal(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = tmp_path / "k.pem"
    terminal = Terminal(monkeypatch, "one", "two", "", "right", "right", "wrong", "right")
    with pytest.raises(InvalidInputError, match="the two passwords differ; nothing was written"):
        run(["sign", "--new-key", str(key)])
    assert not key.exists()
    assert run(["sign", "--new-key", str(tmp_path / "plain.pem")]) == 0  # an empty one is not asked for again
    assert run(["sign", str(bundle), "--key", str(tmp_path / "plain.pem")]) == 0
    assert run(["sign", "--new-key", str(key)]) == 0
    with pytest.raises(InvalidInputError, match="the right password"):
        run(["sign", str(bundle), "--key", str(key)])
    assert run(["sign", str(bundle), "--key", str(key)]) == 0
    first, again = f"Password of {key} (empty for none): ", "The same again: "
    assert terminal.asked[:2] == [first, again]
    assert terminal.asked[3:] == [first, again, *[f"Password of {key}: "] * 2]


def test_without_a_terminal_the_variable_must_be_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LITEPORT_KEY_PASSWORD", raising=False)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False)
    with pytest.raises(InvalidInputError, match=rf"set {signing_commands.PASSWORD_VARIABLE}$"):
        run(["sign", "--new-key", str(tmp_path / "k.pem")])
    assert not list(tmp_path.iterdir())
    monkeypatch.setenv("LITEPORT_KEY_PASSWORD", "")
    assert run(["sign", "--new-key", str(tmp_path / "k.pem")]) == 0
    assert json.dumps((tmp_path / "k.pem").read_text()).startswith('"-----BEGIN PRIVATE KEY-----')


def test_any_error_of_a_signature_is_one_of_integrity() -> None:
    error: Any = SignatureError("x")
    assert isinstance(error, IntegrityError)
