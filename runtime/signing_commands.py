"""`liteport sign` and `verify`."""

import getpass
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from liteport.errors import InvalidInputError

from .bundle import read_bundle
from .keys import new_key, public_beside
from .signatures import SIGNATURE_FILE
from .signing import sign as sign_bundle

PASSWORD_VARIABLE = "LITEPORT_KEY_PASSWORD"  # noqa: S105  its name, not a password


def sign(
    bundle: Annotated[Path | None, typer.Argument(help="The bundle to sign.")] = None,
    key: Annotated[Path | None, typer.Option(help="The private key: a PEM file.")] = None,
    new_key_file: Annotated[
        Path | None,
        typer.Option("--new-key", help="Make a key pair instead: this private key, and .pub.pem beside it."),
    ] = None,
) -> None:
    """Sign a bundle, after checking every file of it, or make the key for it.

    The password of a key is asked for, or taken from LITEPORT_KEY_PASSWORD (empty: none).
    """
    if new_key_file is not None:
        if bundle is not None or key is not None:
            raise typer.BadParameter("--new-key stands alone: make the key first, then sign with --key")
        _make_key(new_key_file)
        return
    if bundle is None or key is None:
        raise typer.BadParameter("expected BUNDLE and --key, or --new-key")
    signer = sign_bundle(bundle, key, password=lambda: _password(key, new=False))
    print(f"wrote {bundle / SIGNATURE_FILE}, by key {signer}")
    public = public_beside(key)
    print(f"next: liteport verify {bundle} --public-key {public if public.exists() else 'PUBLIC.pem'}")


def _make_key(path: Path) -> None:
    public = new_key(path, lambda: _password(path, new=True))
    print(f"wrote {path}, which stays with you")
    print(f"wrote {public}, for all who check your bundles")
    print(f"next: liteport sign BUNDLE --key {path}")


def _password(path: Path, *, new: bool) -> str:
    """Returns a key's password: from the environment, or typed on the terminal, of a new key twice."""
    given = os.environ.get(PASSWORD_VARIABLE)
    if given is not None:
        return given
    if not sys.stdin.isatty():
        raise InvalidInputError(
            f"the password of {path} cannot be asked for without a terminal; set {PASSWORD_VARIABLE}"
        )
    typed = getpass.getpass(f"Password of {path}{' (empty for none)' if new else ''}: ")
    if new and typed and getpass.getpass("The same again: ") != typed:
        raise InvalidInputError("the two passwords differ; nothing was written")
    return typed


def verify(
    bundle: Annotated[Path, typer.Argument(help="The bundle to check.")],
    public_key: Annotated[list[Path], typer.Option(help="A public key that is trusted: a PEM file. May be repeated.")],
) -> None:
    """Check that a bundle is signed by a key that you trust, and that every file is the one that was signed."""
    found = read_bundle(bundle, public_key=public_key)
    found.check()
    count = sum(len(variant.file_names) for variant in found.manifest.variants)
    print(f"{bundle}: signed by key {found.signed_by}; all {count} files are as they were signed")
