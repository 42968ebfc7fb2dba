import zipfile
from pathlib import Path

from liteport.benchmarks.comparing.parcels import pack, unpack


def test_a_folder_comes_out_as_it_went_in(tmp_path: Path) -> None:
    source = tmp_path / "trial"
    (source / "run" / "plots").mkdir(parents=True)
    (source / "run" / "model").write_bytes(bytes(range(256)))
    (source / "run" / "plots" / "a.png").write_bytes(b"png")
    found = unpack(pack(source), tmp_path / "there")
    assert found == tmp_path / "there" / "trial"
    assert (found / "run" / "model").read_bytes() == bytes(range(256))
    assert (found / "run" / "plots" / "a.png").read_bytes() == b"png"


def test_a_file_comes_out_as_it_went_in(tmp_path: Path) -> None:
    (tmp_path / "data.npz").write_bytes(b"data")
    found = unpack(pack(tmp_path / "data.npz"), tmp_path / "there")
    assert found == tmp_path / "there" / "data.npz"
    assert found.read_bytes() == b"data"


def test_no_name_leads_out_of_the_folder(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr("../outside", "x")
    unpack((tmp_path / "bad.zip").read_bytes(), tmp_path / "there")
    assert not (tmp_path / "outside").exists()
