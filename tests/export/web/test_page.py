"""What `liteport web` writes and refuses, without a browser."""

import base64
import gzip
import hashlib
import io
import json
import re
import shutil
import socket
import struct
import tarfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from browser import served

from liteport.errors import (
    AlreadyExistsError,
    BackendError,
    IntegrityError,
    InvalidInputError,
    NotFoundError,
)
from liteport.export.web import engines, page, write_page
from liteport.export.web.server import make_server
from liteport.runtime import read_bundle
from liteport.runtime.cli import run

ROOT = Path(__file__).resolve().parents[3]
FAST = ROOT / "examples" / "fast"


@pytest.fixture
def no_engines(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Engines that are there already, and are a few bytes each."""
    made = []
    cache = tmp_path / "cache"
    for engine in engines.ENGINES:
        folder = cache / f"{engine.package.replace('/', '-').lstrip('@')}-{engine.version}"
        folder.mkdir(parents=True)
        entries = []
        for file in engine.files:
            content = file.name.encode()
            (folder / file.name).write_bytes(gzip.compress(content) if file.name.endswith(".gz") else content)
            entries.append(replace(file, sha256=hashlib.sha256(content).hexdigest()))
        made.append(replace(engine, files=tuple(entries)))
    monkeypatch.setenv("LITEPORT_WEB_CACHE", str(cache))
    monkeypatch.setattr(page, "ENGINES", tuple(made))
    return cache


def test_a_page_is_whole(no_engines: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "page"
    assert run(["web", str(FAST), "--out", str(out), "--example", str(ROOT / "examples" / "digits" / "7.png")]) == 0
    assert f"wrote {out}" in capsys.readouterr().out
    assert {path.name for path in out.iterdir() if path.is_dir()} == {"bundle", "engines", "examples"}
    assert (out / "bundle" / "manifest.json").read_bytes() == (FAST / "manifest.json").read_bytes()
    html = (out / "index.html").read_text(encoding="utf-8")
    assert "@litertjs/core" in html
    assert "@PAGE@" not in html
    licences = {path.name: path.read_text().strip().split("\n")[0] for path in out.glob("engines/*LICENSE.txt")}
    assert licences == {"LiteRT.js.LICENSE.txt": "Apache License", "onnxruntime-web.LICENSE.txt": "MIT License"}
    assert "//" not in html.replace("<!doctype", "")  # nothing from elsewhere
    for script in out.glob("*.js"):
        assert "http:" not in script.read_text() + html
        assert "https:" not in script.read_text()


def test_all_modules_of_the_page_are_loaded_at_once() -> None:
    static = Path(engines.__file__).resolve().parent / "static"
    named = set(re.findall(r'modulepreload" href="([^"]+)"', (static / "index.html").read_text(encoding="utf-8")))
    imported, waiting = set(), ["main.js"]
    while waiting:
        found = re.findall(r' from "\./([^"]+)"', (static / waiting.pop()).read_text(encoding="utf-8"))
        waiting += [name for name in found if name not in imported]
        imported.update(found)
    assert named == imported


def test_an_older_page_is_replaced_only_by_force(no_engines: Path, tmp_path: Path) -> None:
    out = tmp_path / "page"
    write_page(FAST, out)
    with pytest.raises(AlreadyExistsError, match="--force"):
        write_page(FAST, out)
    write_page(FAST, out, force=True)
    other = tmp_path / "mine"
    other.mkdir()
    (other / "thesis.txt").touch()
    with pytest.raises(InvalidInputError, match=r"holds no index\.html"):
        write_page(FAST, other, force=True)


def test_a_damaged_bundle_is_refused(no_engines: Path, tmp_path: Path) -> None:
    shutil.copytree(FAST, tmp_path / "bundle")
    path = tmp_path / "bundle" / "tflite-int8.tflite"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(IntegrityError, match=r"tflite-int8\.tflite"):
        write_page(tmp_path / "bundle", tmp_path / "page")
    assert not (tmp_path / "page").exists()


def test_what_a_page_cannot_show_is_refused() -> None:
    manifest = read_bundle(FAST).manifest
    with pytest.raises(InvalidInputError, match="has no labels"):
        page.check_bundle(replace(manifest, output=replace(manifest.output, labels=None)), FAST)
    with pytest.raises(InvalidInputError, match="expected one image"):
        page.check_bundle(replace(manifest, other_outputs=(replace(manifest.output, name="more"),)), FAST)
    ncnn = tuple(replace(each, id=f"ncnn-{i}", file=f"{i}.param") for i, each in enumerate(manifest.variants))
    with pytest.raises(InvalidInputError, match="none of which browsers run"):
        page.check_bundle(replace(manifest, variants=ncnn), FAST)


def test_examples_are_checked(no_engines: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"none\.png"):
        write_page(FAST, tmp_path / "page", examples=[tmp_path / "none.png"])
    (tmp_path / "notes.txt").touch()
    with pytest.raises(InvalidInputError, match="no image"):
        write_page(FAST, tmp_path / "page", examples=[tmp_path / "notes.txt"])


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that is asked instead of npm's registry, where npm is not installed, for a cache that is empty."""
    folder = tmp_path / "registry"
    folder.mkdir()
    monkeypatch.setenv("LITEPORT_WEB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with served(folder) as address:
        monkeypatch.setattr(engines, "_REGISTRY", address.rstrip("/"))
        yield folder


def test_without_npm_the_registry_is_asked(registry: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BackendError, match=r"cannot fetch http.*core-2\.5\.3\.tgz: .*LITEPORT_WEB_CACHE"):
        write_page(FAST, tmp_path / "page")
    small = []
    for engine in engines.ENGINES:
        path = registry / engine.package / "-" / f"{engine.package.rpartition('/')[2]}-{engine.version}.tgz"
        path.parent.mkdir(parents=True)
        path.write_bytes(archive := packed(engine))
        integrity = base64.b64encode(hashlib.sha512(archive).digest()).decode()
        known = tuple(replace(file, sha256=hashlib.sha256(file.name.encode()).hexdigest()) for file in engine.files)
        small.append(replace(engine, integrity=integrity, files=known))
    with pytest.raises(IntegrityError, match="is not the one we tried"):
        write_page(FAST, tmp_path / "page")
    monkeypatch.setattr(page, "ENGINES", tuple(small))
    write_page(FAST, tmp_path / "page")
    assert (tmp_path / "page" / "engines" / "onnx.mjs").read_bytes() == b"onnx.mjs"


def packed(engine: engines.Engine) -> bytes:
    """An archive as npm has it, of files that hold their own names."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as tar:
        for file in engine.files:
            entry = tarfile.TarInfo(file.member)
            entry.size = len(file.name)
            tar.addfile(entry, io.BytesIO(file.name.encode()))
    return made.getvalue()


def test_what_npm_cannot_fetch_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LITEPORT_WEB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    npm(tmp_path, "exit 1")
    with pytest.raises(BackendError, match="npm cannot fetch @litertjs/core"):
        write_page(FAST, tmp_path / "page")
    npm(tmp_path, "echo other > core.tgz")
    with pytest.raises(IntegrityError, match="is not the one we tried"):
        write_page(FAST, tmp_path / "page")
    assert not (tmp_path / "page").exists()


def npm(folder: Path, line: str) -> None:
    (folder / "npm").write_text(f"#!/bin/sh\n{line}\n")
    (folder / "npm").chmod(0o755)


def test_a_damaged_cache_is_not_used(no_engines: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(engines, "_REGISTRY", "http://localhost:9")  # nothing answers there
    for content in (b"", b"\x1f\x8b\x08\x00", gzip.compress(b"other")):
        (no_engines / "litertjs-core-2.5.3" / "litert.js.gz").write_bytes(content)
        with pytest.raises(BackendError, match="cannot fetch"):
            write_page(FAST, tmp_path / "page")


def test_the_server_says_what_files_are(no_engines: Path, tmp_path: Path) -> None:
    write_page(FAST, tmp_path / "page")
    kinds = {
        "": "text/html",
        "main.js": "text/javascript",
        "engines/onnx.mjs": "text/javascript",
        "page.css": "text/css",
        "engines/onnx.wasm.gz": "application/gzip",
    }
    with served(tmp_path / "page") as address:
        for name, kind in kinds.items():
            with urllib.request.urlopen(address + name) as answer:
                assert answer.headers["Content-Type"].startswith(kind)
                assert "Content-Encoding" not in answer.headers
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(address + "../cache")


def test_who_leaves_early_is_not_told_of(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "large.bin").write_bytes(bytes(50_000_000))  # more than any system takes on at once
    with served(tmp_path) as address:
        with socket.create_connection(("localhost", urlsplit(address).port or 0)) as visitor:
            visitor.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # leaves without a word
            visitor.sendall(b"GET /large.bin HTTP/1.0\r\n\r\n")
            visitor.recv(1000)
        with urllib.request.urlopen(address + "large.bin") as answer:
            assert len(answer.read()) == 50_000_000
    assert capfd.readouterr().err == ""


def test_a_port_in_use_is_told(tmp_path: Path) -> None:
    with make_server(tmp_path, 0) as server, pytest.raises(InvalidInputError, match="cannot listen"):
        make_server(tmp_path, server.server_port)


def test_the_versions_are_pinned() -> None:
    assert [engine.suffix for engine in engines.ENGINES] == [".tflite", ".onnx"]
    for engine in engines.ENGINES:
        assert all(part.isdigit() for part in engine.version.split("."))
        assert len(engine.integrity) == 88  # 64 bytes in base64
        assert all(len(file.sha256) == 64 for file in engine.files)
    assert json.dumps([engine.name for engine in engines.ENGINES]) == '["LiteRT.js", "onnxruntime-web"]'
