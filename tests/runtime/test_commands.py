import pytest

from liteport.runtime import backends, commands
from liteport.runtime.backends import installed
from liteport.runtime.cli import run


def test_doctor_finds_all_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor"]) == 0
    out = capsys.readouterr().out
    for word in ("liteport", "Python", "CPU", "features", "ai-edge-litert", "onnxruntime", "Pillow", "tensorflow"):
        assert word in out


def test_doctor_says_what_to_install(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    real = commands.installed_version
    monkeypatch.setattr(
        commands, "installed", lambda engine: engine.package == "ai-edge-litert" and backends.installed(engine)
    )
    monkeypatch.setattr(commands, "installed_version", lambda package: None if package == "Pillow" else real(package))
    assert run(["doctor"]) == 0
    advice = capsys.readouterr().out.split("to install what is missing:\n")[1].splitlines()
    wanted = ['pip install "liteport[onnx]"', "pip install ncnn", 'pip install "liteport[mnn]"']
    assert [line.strip() for line in advice[:4]] == [*wanted, 'pip install "liteport[image]"']
    assert not any("tflite-runtime" in line for line in advice)  # ai-edge-litert serves the same files
    assert installed(backends.ENGINES[0])
