"""How emulated Pythons are kept and built, with nothing downloaded; `tests/arm` builds and uses real ones."""

import threading
import zipfile
from pathlib import Path

import pytest

from liteport.benchmarks.devices import arm_environment, arm_system, emulation
from liteport.benchmarks.devices.arm_environment import Environment, Step, constraints, requirements
from liteport.benchmarks.devices.boards import ARCHITECTURES, BOARDS, find_board
from liteport.errors import BackendError, InvalidInputError, MissingDependencyError

AARCH64 = ARCHITECTURES["aarch64"]


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The programs that this machine, a Debian on x86-64, appears to have; change them."""
    found = {"apt-get", "dpkg-deb", "cc"}
    monkeypatch.setattr(arm_system.platform, "system", lambda: "Linux")
    monkeypatch.setattr(arm_system.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(arm_system.shutil, "which", lambda name: f"/usr/bin/{name}" if name in found else None)
    return found


@pytest.fixture
def sources(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The file with the package sources of what appears to be a Debian."""
    path = tmp_path / "debian.sources"
    path.write_text("Types: deb\nURIs: http://mirror/debian\nSuites: trixie trixie-updates\nComponents: main\n")
    monkeypatch.setattr(arm_system, "_SOURCES", (tmp_path / "missing.list", path))
    monkeypatch.setattr(arm_system, "_KEYS", tmp_path / "keys.gpg")
    release = {"ID": "debian", "VERSION_CODENAME": "trixie"}
    monkeypatch.setattr(arm_system.platform, "freedesktop_os_release", lambda: release)
    return path


def test_a_machine_with_all_programs_will_do(programs: set[str], sources: Path) -> None:
    arm_system.check_machine()


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("apt-get", "apt-get was not found; the emulated systems come from Debian's packages"),
        ("dpkg-deb", "dpkg-deb was not found"),
        ("cc", r"no C compiler \(cc\) was found; run as root: apt-get install gcc"),
    ],
)
def test_a_missing_program_is_told(programs: set[str], sources: Path, missing: str, message: str) -> None:
    programs.remove(missing)
    with pytest.raises(MissingDependencyError, match=message):
        arm_system.check_machine()


def test_another_processor_is_told(programs: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arm_system.platform, "machine", lambda: "aarch64")
    with pytest.raises(InvalidInputError, match="on Linux on x86-64 only; this is Linux on aarch64"):
        arm_system.check_machine()


def test_debian_takes_its_own_mirror(sources: Path) -> None:
    suffix, text = arm_system.package_sources()
    assert suffix == ".sources"
    assert text == sources.read_text().replace("trixie", "bookworm")


def test_ubuntu_takes_debians_mirror_if_it_has_the_keys(sources: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release = {"ID": "ubuntu", "VERSION_CODENAME": "noble"}
    monkeypatch.setattr(arm_system.platform, "freedesktop_os_release", lambda: release)
    with pytest.raises(MissingDependencyError, match="apt-get install debian-archive-keyring"):
        arm_system.package_sources()
    keys = sources.with_name("keys.gpg")
    keys.touch()
    line = f"deb [signed-by={keys}] http://deb.debian.org/debian bookworm main\n"
    assert arm_system.package_sources() == (".list", line)


def test_a_failing_step_tells_its_last_words(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    with pytest.raises(BackendError, match=r"log\.txt says how; last words: no room"):
        arm_system.run(["sh", "-c", "echo much; echo no room >&2; exit 3"], log)
    assert log.read_text() == "$ sh -c echo much; echo no room >&2; exit 3\nmuch\nno room\n"


def test_each_board_has_a_root_with_its_processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unpack(architecture: str, packages: tuple[str, ...], folder: Path, log: Path) -> None:
        assert architecture == "arm64"
        (folder / "usr/bin").mkdir(parents=True)
        (folder / "usr/bin/python3.11").touch()
        blas = folder / "usr/lib/aarch64-linux-gnu/blas"
        blas.mkdir(parents=True)
        (blas / "libblas.so.3").touch()
        wheels = folder / "usr/share/python-wheels"
        wheels.mkdir(parents=True)
        with zipfile.ZipFile(wheels / "pip-23.whl", "w") as archive:
            archive.writestr("pip/__main__.py", "")

    monkeypatch.setattr(arm_system, "_unpack", unpack)
    arm_system.unpack_system(AARCH64, tmp_path, tmp_path / "log.txt")
    assert (tmp_path / "pip/pip/__main__.py").is_file()
    assert sorted(path.name for path in (tmp_path / "boards").iterdir()) == ["pi3", "pi4", "pi5"]
    root = tmp_path / "boards/pi5"
    assert (root / "bin/python3.11").is_file()
    assert (root / "lib/aarch64-linux-gnu/libblas.so.3").is_file()
    text = (root / "proc/cpuinfo").read_text()
    assert text.count("CPU part\t: 0xd0b\n") == 4
    assert text.startswith("processor\t: 0\nBogoMIPS\t: 108.00\n")
    assert "asimddp" in text  # dot products of bytes, which the older ones lack
    assert "asimddp" not in (tmp_path / "boards/pi4/proc/cpuinfo").read_text()
    assert (root / "sys/devices/system/cpu/online").read_text() == "0-3\n"


def test_every_board_has_an_architecture_that_has_it_or_another_for_its_programs() -> None:
    assert {board.architecture for board in BOARDS.values()} == set(ARCHITECTURES)
    for name, architecture in ARCHITECTURES.items():
        assert architecture.name == name
        assert find_board(architecture.board).architecture == name


def test_the_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("LITEPORT_ARM_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert emulation.cache_folder() == tmp_path / ".cache/liteport/arm"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert emulation.cache_folder() == tmp_path / "cache/liteport/arm"
    monkeypatch.setenv("LITEPORT_ARM_CACHE", str(tmp_path / "arm"))
    assert emulation.cache_folder() == tmp_path / "arm"


def test_a_comma_in_a_path_does_not_end_an_option(tmp_path: Path) -> None:
    environment = Environment(AARCH64, tmp_path / "a,b")
    python = environment.system / "usr/bin/python3.11"
    python.parent.mkdir(parents=True)
    python.touch()
    command = environment.command(BOARDS["pi5"], tmp_path / "c,d")
    assert f"{tmp_path}/a,,b/instructions.so,out={tmp_path}/c,,d" in command
    assert command[command.index("-cpu") + 1] == "cortex-a76"
    assert "-plugin" not in environment.command(BOARDS["pi5"])


def test_engines_are_of_the_versions_that_are_here(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {"ai-edge-litert": "2.3.0", "numpy": "2.4.6"}
    monkeypatch.setattr(arm_environment, "installed_version", versions.get)
    monkeypatch.setattr(arm_environment.sys, "version_info", (3, 11, 7))
    assert constraints(AARCH64) == "ai-edge-litert==2.3.0\nnumpy==2.4.6\n"
    monkeypatch.setattr(arm_environment.sys, "version_info", (3, 12, 0))
    assert constraints(AARCH64) == "ai-edge-litert==2.3.0\n"
    assert constraints(ARCHITECTURES["armv7l"]) == ""


def test_only_the_requirements_that_count_are_looked_at(tmp_path: Path) -> None:
    wheel = tmp_path / "a.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        lines = (
            "numpy>=1",
            "onnxruntime>=1.20; extra == 'onnx'",
            'pytest; extra == "dev"',
            "rich; python_version < '4'",
        )
        archive.writestr("a-1.dist-info/METADATA", "".join(f"Requires-Dist: {line}\n" for line in lines))
    found = requirements(wheel, ("onnx",)).replace("Requires-Dist: ", "").splitlines()
    assert found == ["numpy>=1", "onnxruntime>=1.20; extra == 'onnx'", "rich; python_version < '4'"]
    assert "onnx" not in requirements(wheel)


class Cache:
    """A cache whose environments have one step, which notes that it was done."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.recipe = "one"
        self.done: list[str] = []
        monkeypatch.setenv("LITEPORT_ARM_CACHE", str(folder))
        monkeypatch.setattr(emulation, "check_machine", lambda: None)
        monkeypatch.setattr(emulation, "build_wheel", lambda folder: folder / "a.whl")
        monkeypatch.setattr(Environment, "shared_steps", lambda environment: [])

        def steps(environment: Environment, wheel: Path) -> list[Step]:
            name, recipe = environment.architecture.name, self.recipe
            return [Step(environment.cache / name, recipe, lambda: self.done.append(f"{name} {recipe}"))]

        monkeypatch.setattr(Environment, "steps", steps)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cache:
    return Cache(tmp_path / "arm", monkeypatch)


def test_what_is_up_to_date_is_kept(cache: Cache) -> None:
    for _ in range(2):
        with emulation.environments(["aarch64", "armv7l"]) as found:
            assert [environment.architecture.name for environment in found.values()] == ["aarch64", "armv7l"]
    assert sorted(cache.done) == ["aarch64 one", "armv7l one"]
    cache.recipe = "two"
    with emulation.environments(["armv7l"]):
        pass
    assert cache.done[2:] == ["armv7l two"]


def test_nothing_is_built_while_another_uses_it(cache: Cache) -> None:
    waiting = threading.Event()

    def build() -> None:
        with emulation.environments(["aarch64"], lambda what, done, total, note: "waiting" in note and waiting.set()):
            pass

    with emulation.environments(["aarch64"]):
        cache.recipe = "two"
        other = threading.Thread(target=build)
        other.start()
        assert waiting.wait(60)
        assert cache.done == ["aarch64 one"]
    other.join(60)
    assert cache.done == ["aarch64 one", "aarch64 two"]


def test_what_failed_is_done_anew(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(environment: Environment, wheel: Path) -> list[Step]:
        def work() -> None:
            raise BackendError("no network")

        return [Step(environment.cache / "note", "one", work)]

    with monkeypatch.context() as context:
        context.setattr(Environment, "steps", fail)
        with pytest.raises(BackendError, match="no network"), emulation.environments(["aarch64"]):
            pass
    with emulation.environments(["aarch64"]):
        pass
    assert cache.done == ["aarch64 one"]
