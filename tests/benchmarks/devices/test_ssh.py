"""Against a real sshd on 127.0.0.1. Most tests have a stand-in for the device's Python, which makes no environments."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
from made_report import made_report
from ssh_server import SshServer, free_port, make_key, ssh_server

from liteport.benchmarks.devices.connection import connected
from liteport.benchmarks.devices.failures import pip_failure
from liteport.benchmarks.devices.hosts import parse_host
from liteport.benchmarks.devices.parcel import pack, write_test_split
from liteport.benchmarks.devices.ssh import measure_on_host
from liteport.errors import DeviceError, IntegrityError, InvalidInputError, NotFoundError
from liteport.train import Dataset, load_dataset

TOOLS = ("cat", "cp", "df", "mkdir", "mktemp", "rm", "sh", "sleep", "tail", "tar")

PYTHON = f"""#!/bin/sh
[ "$1 $2" = "-m venv" ] || exec {shlex.quote(sys.executable)} "$@"
mkdir -p "$3/bin" && cp "$DEVICE/env/"* "$3/bin/"
"""

BENCH = """#!/bin/sh
printf '%s\\n' "$@" > "$DEVICE/arguments"
pwd > "$DEVICE/pwd"; echo $$ > "$DEVICE/pid"
echo "latency: 20 rounds" >&2
"""


class Device:
    """What the server's sessions find in place of a machine's programs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "bin").mkdir()
        (folder / "env").mkdir()
        (folder / "tmp").mkdir()
        for name in TOOLS:
            (folder / "bin" / name).symlink_to(shutil.which(name) or name)

    def program(self, name: str, script: str) -> None:
        path = self.folder / name
        path.write_text(script)
        path.chmod(0o755)

    def text(self, name: str) -> str:
        return (self.folder / name).read_text()

    def settings(self, greeting: str) -> str:
        """Lines of sshd_config; the path of programs is set as late as this since a login shell may change it."""
        return (
            f"SetEnv TMPDIR={self.folder / 'tmp'} DEVICE={self.folder}\n"
            f'ForceCommand {greeting}export PATH={self.folder / "bin"}; exec sh -c "$SSH_ORIGINAL_COMMAND"'
        )

    def left_behind(self) -> list[Path]:
        """What is in the folder for temporary files, once a lost connection has had time to be noticed."""
        for _ in range(100):
            if not any((self.folder / "tmp").iterdir()):
                return []
            time.sleep(0.05)
        return list((self.folder / "tmp").iterdir())


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    """A machine as it is."""
    with ssh_server(tmp_path_factory.mktemp("ssh")) as running:
        yield running


@pytest.fixture
def device(tmp_path: Path) -> Device:
    """A machine on which everything goes well, until a test changes it."""
    folder = tmp_path / "device"
    folder.mkdir()
    device = Device(folder)
    device.program("bin/python3", PYTHON)
    device.program("env/python", '#!/bin/sh\nprintf "%s\\n" "$@" > "$DEVICE/$2"\n')
    device.program("env/liteport", BENCH + 'cat "$DEVICE/report" > result.json\n')
    (folder / "report").write_text(made_report().to_json())
    return device


@pytest.fixture
def start(server: SshServer) -> Iterator[Callable[[Device, str], SshServer]]:
    """Starts a server for a device; its keys are those of `server`."""
    with ExitStack() as stack:
        yield lambda device, greeting="": stack.enter_context(ssh_server(server.folder, device.settings(greeting)))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lone file that nobody looks into."""
    path = tmp_path_factory.mktemp("model") / "a.tflite"
    path.write_bytes(bytes(100))
    return path


@pytest.fixture(scope="module")
def digits() -> Dataset:
    data = load_dataset("mnist")
    return replace(data, test=type(data.test)(data.test.images[:20], data.test.labels[:20]))


def measure(server: SshServer, model: Path, **options: object) -> None:
    measure_on_host(server.host, [model], None, ssh_options=server.options, **options)  # type: ignore[arg-type]


def test_measures_with_a_bare_python(server: SshServer, tiny_bundle: Path, tiny_data: Path, tmp_path: Path) -> None:
    # The only test that has pip fetch all of liteport's packages; some 40 s.
    bundle = tmp_path / "my bundle"
    shutil.copytree(tiny_bundle, bundle)
    data, told = load_dataset(tiny_data), []
    report = measure_on_host(
        server.host,
        [bundle],
        data,
        ["--runs", "40", "--launches", "1", "--robustness", "0"],
        variants=["tflite-float32", "tflite-int8"],
        ssh_options=server.options,
        progress=lambda what, done, total, note: told.append(what),
    )
    assert [row.variant for row in report.rows] == ["tflite-float32", "tflite-int8"]
    assert [(row.device, row.failure) for row in report.rows] == [(server.host, None)] * 2
    (entry,) = report.bundles
    assert (entry.path, entry.data, entry.data_digest) == (str(bundle), data.source, data.digest)
    assert entry.images == len(data.test.images)
    assert report.devices[0].environment.packages["liteport"]
    assert {f"{server.host}: {what}" for what in ("connect", "copy", "install", "latency")} <= set(told)


def test_names_are_those_of_this_machine(
    start: Callable[..., SshServer], device: Device, model: Path, tiny_bundle: Path, digits: Dataset, tmp_path: Path
) -> None:
    bundle = tmp_path / 'it\'s "a" $HOME; é'
    shutil.copytree(tiny_bundle, bundle)
    made = made_report()
    there = f"models/1/{bundle.name}"
    controls = tuple(replace(control, bundle=there) for control in made.devices[0].controls)
    made = replace(
        made,
        devices=(replace(made.devices[0], controls=controls),),
        bundles=(replace(made.bundles[0], name=there, path=there),),
        rows=tuple(replace(row, bundle=there) for row in made.rows),
    )
    (device.folder / "report").write_text(made.to_json())
    server = start(device, "echo Welcome; ")  # a login shell's words do no harm
    report = measure_on_host(server.host, [model, bundle], digits, ["--runs", "4 2"], ssh_options=server.options)

    expected = ["bench", "models/0/a.tflite", there, "--data", "data.npz", "--runs", "4 2"]
    assert device.text("arguments").splitlines()[: len(expected)] == expected
    assert report.bundles[0].name == report.bundles[0].path == str(bundle)
    assert (report.bundles[0].data, report.bundles[0].data_digest) == ("mnist", digits.digest)
    assert report.pictures[0].data_digest == digits.digest
    assert {row.device for row in report.rows} == {report.devices[0].name} == {server.host}
    assert report.reference(server.host, str(bundle)) == "tflite-float32"
    assert report.rows[0].measurement == made.rows[0].measurement
    assert device.left_behind() == []


@pytest.mark.parametrize(
    ("suffix", "bits", "wanted"),
    [
        (".onnx", 64, "[benchmarks,onnx]"),
        (".onnx", 32, "[benchmarks]"),
        (".tflite", 64, "[benchmarks]"),
        (".param", 32, "[benchmarks] ncnn"),
        (".mnn", 64, "[benchmarks,mnn]"),
        (".mnn", 32, "[benchmarks]"),
    ],
)
def test_asks_pip_for_what_the_device_can_run(
    start: Callable[..., SshServer], device: Device, tmp_path: Path, suffix: str, bits: int, wanted: str
) -> None:
    shebang, rest = PYTHON.split("\n", 1)
    answer = f'[ "$1 $3" = "-c python3" ] && {{ echo python3 3.11.2 {bits} True; exit; }}'
    device.program("bin/python3", f"{shebang}\n{answer}\n{rest}")
    (path := tmp_path / "a").with_suffix(suffix).touch()
    path.with_suffix(".bin").touch()
    measure(start(device), path.with_suffix(suffix))
    assert " ".join(device.text("pip").splitlines()).endswith(f"none-any.whl{wanted}")


@pytest.mark.parametrize(
    "host",
    ["", "-oProxyCommand=x", "pi:-22", "pi:70000", "pi:", "me@-pi", "-me@pi", "pi zero", "a@b@c", "pi\n", "fe80::1"],
)
def test_refuses_what_is_no_host(host: str) -> None:
    with pytest.raises(InvalidInputError, match="is no host; expected user@device"):
        parse_host(host)


@pytest.mark.parametrize(
    ("host", "arguments"),
    [
        ("pi", ("pi",)),
        ("me@pi.local:2222", ("-p", "2222", "me@pi.local")),
        ("me@[fe80::1%eth0]:22", ("-p", "22", "me@fe80::1%eth0")),
    ],
)
def test_takes_hosts_apart(host: str, arguments: tuple[str, ...]) -> None:
    assert parse_host(host).arguments == arguments


def test_refuses_what_is_no_setting_of_ssh() -> None:
    with (
        pytest.raises(InvalidInputError, match="is no setting of ssh; expected KEY=VALUE"),
        connected("pi", ["-Fevil"]),
    ):
        pass


def test_unknown_changed_and_wrong_keys(server: SshServer, tmp_path: Path) -> None:
    def refused(expected: str, setting: str) -> None:
        name = setting.partition("=")[0]
        options = [setting, *(option for option in server.options if not option.startswith(name))]
        with pytest.raises(DeviceError, match=expected), connected(server.host, options):
            pass

    refused(
        r"host key is not known here; connect once by hand \(ssh -p \d+ \S+@127.0.0.1\)", "UserKnownHostsFile=/dev/null"
    )
    make_key(tmp_path / "other")
    port, key = server.host.rpartition(":")[2], (tmp_path / "other.pub").read_text()
    (tmp_path / "known").write_text(f"[127.0.0.1]:{port} {key}")
    refused(
        r"host key is not the one that is known; .*ssh-keygen -R '\[127.0.0.1\]:\d+'",
        f"UserKnownHostsFile={tmp_path / 'known'}",
    )
    refused("permission denied; install a key there", f"IdentityFile={tmp_path / 'other'}")


def test_no_server() -> None:
    for host, expected in {
        "me@no-such-machine.invalid": "no machine of that name is known",
        f"127.0.0.1:{free_port()}": "nothing answers on its SSH port",
    }.items():
        with pytest.raises(DeviceError, match=f"^{host}: {expected}"), connected(host):
            pass


def test_no_ssh_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with (
        pytest.raises(DeviceError, match="ssh is not installed here; run: sudo apt install openssh-client"),
        connected("pi"),
    ):
        pass


def test_too_little_space(server: SshServer) -> None:
    with (
        pytest.raises(DeviceError, match=r"expected 1000000 MB free for a while, found /\S+ \d+ MB"),
        connected(server.host, server.options, space=10**12),
    ):
        pass


@pytest.mark.parametrize(
    ("python", "expected"),
    [
        (None, "found none; run there: sudo apt install python3 python3-venv"),
        (
            "#!/bin/sh\necho python3 3.9.2 64 True\n",
            "expected Python 3.10 to 3.13 there, found 3.9.2; install another",
        ),
        (
            "#!/bin/sh\necho python3 3.11.2 64 False\n",
            "makes no environments; run there: sudo apt install python3-venv",
        ),
    ],
)
def test_no_fitting_python(
    start: Callable[..., SshServer], device: Device, model: Path, python: str | None, expected: str
) -> None:
    (device.folder / "bin/python3").unlink()
    if python:
        device.program("bin/python3", python)
    with pytest.raises(DeviceError, match=expected):
        measure(start(device), model)
    assert device.left_behind() == []


def test_pip_fails(start: Callable[..., SshServer], device: Device, model: Path) -> None:
    device.program("env/python", "#!/bin/sh\necho 'ERROR: No matching distribution found for psutil>=5.9'; exit 1\n")
    with pytest.raises(DeviceError, match="could not be installed there: No matching distribution found for psutil"):
        measure(start(device), model)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (
            "Failed to establish a new connection: [Errno 101]\nERROR: No matching distribution found",
            "no package index",
        ),
        ("ERROR: Could not install: [Errno 28] No space left on device", "no space is left for liteport's packages"),
        ("Killed", "could not be installed there: Killed"),
    ],
)
def test_what_pip_says_is_explained(told: str, expected: str) -> None:
    assert expected in str(pip_failure("pi", told))


def test_bench_fails(start: Callable[..., SshServer], device: Device, model: Path) -> None:
    device.program("env/liteport", BENCH + "echo 'error: none of 2 variants could be measured' >&2; exit 1\n")
    with pytest.raises(DeviceError, match=r"liteport bench failed there: none of 2 variants could be measured$"):
        measure(start(device), model)
    assert device.left_behind() == []


def test_damaged_report(start: Callable[..., SshServer], device: Device, model: Path) -> None:
    (device.folder / "report").write_text("{}")
    with pytest.raises(IntegrityError, match="the report from "):
        measure(start(device), model)


def hang(device: Device) -> None:
    # It starts another process, as a benchmark does, and both must end.
    device.program("env/liteport", BENCH + 'sleep 1000 & echo $! > "$DEVICE/child"; echo "accuracy: begun" >&2; wait\n')


def ended(device: Device) -> bool:
    pids = [int(device.text(name)) for name in ("pid", "child")]
    running = [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]
    return psutil.wait_procs(running, timeout=5)[1] == []


def test_interruption_leaves_nothing(start: Callable[..., SshServer], device: Device, model: Path) -> None:
    def interrupt(what: str, done: int, total: int, note: str) -> None:
        if what.endswith("accuracy"):
            raise KeyboardInterrupt

    hang(device)
    with pytest.raises(KeyboardInterrupt):
        measure(start(device), model, progress=interrupt)
    assert not Path(device.text("pwd").strip()).exists()
    assert ended(device)


def test_ctrl_c_on_a_terminal_leaves_nothing(start: Callable[..., SshServer], device: Device, model: Path) -> None:
    hang(device)
    server = start(device)
    script = f"""
from liteport.benchmarks.devices.ssh import measure_on_host
measure_on_host({server.host!r}, [{str(model)!r}], None, ssh_options={server.options!r},
    progress=lambda what, done, total, note: print(what, flush=True))
"""
    # As on a terminal, the signal goes to all processes of the group: Python, and the ssh processes it started. What
    # a shell starts in the background ignores it, and so would all that the tests start.
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        assert process.stdout is not None
        try:
            assert any("accuracy" in line for line in process.stdout)
            os.killpg(process.pid, signal.SIGINT)
            assert process.communicate(timeout=30)[1].endswith("KeyboardInterrupt\n")
        finally:
            process.kill()  # so that a failure is not waited for
    assert not Path(device.text("pwd").strip()).exists()  # at once: it waited for the folder to be removed
    assert ended(device)


def test_lost_connection(start: Callable[..., SshServer], device: Device, model: Path) -> None:
    def drop(what: str, done: int, total: int, note: str) -> None:
        if what.endswith("accuracy"):
            server.drop_connections()

    hang(device)
    server = start(device)
    with pytest.raises(DeviceError, match="the connection was lost in the middle of the work"):
        measure(server, model, progress=drop)
    assert device.left_behind() == []
    assert ended(device)


def test_test_split_survives_the_journey(digits: Dataset, tmp_path: Path) -> None:
    write_test_split(digits, tmp_path / "data.npz")
    read = load_dataset(tmp_path / "data.npz")
    np.testing.assert_array_equal(read.test.images, digits.test.images)
    np.testing.assert_array_equal(read.test.labels, digits.test.labels)
    assert read.class_names == digits.class_names
    # What is held out there was held out here as well, except for classes of which there is too little of it.
    held_out = {image.tobytes() for image in digits.validation.images}
    assert len(read.validation.images) >= 50
    assert all(image.tobytes() in held_out for image in read.validation.images)


def test_images_that_are_files_survive_it_too(digit_folder: Path, tmp_path: Path) -> None:
    here, streamed = (load_dataset(digit_folder, image_size=28, stream=stream) for stream in (False, True))
    for name, data in (("here", here), ("streamed", streamed)):
        write_test_split(data, tmp_path / f"{name}.npz")
    assert load_dataset(tmp_path / "here.npz").digest == load_dataset(tmp_path / "streamed.npz").digest


def test_rare_classes_survive_the_journey(digits: Dataset, tmp_path: Path) -> None:
    few = np.concatenate([np.flatnonzero(digits.train.labels == digit)[:3] for digit in range(10)])
    train = type(digits.train)(digits.train.images[few], digits.train.labels[few])
    first = type(digits.train)(digits.validation.images[:1], digits.validation.labels[:1])
    write_test_split(replace(digits, train=train, validation=first), tmp_path / "data.npz")
    assert len(load_dataset(tmp_path / "data.npz").train.images) >= 20


def test_packs_what_is_measured(tiny_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "asked.npy").touch()
    parcel = pack([tiny_bundle], None, tmp_path, variants=["tflite-int8"], input_file=tmp_path / "asked.npy")
    name = f"models/0/{tiny_bundle.name}"
    expected = {parcel.wheel, f"{name}/manifest.json", f"{name}/tflite-int8.tflite", "input/asked.npy"}
    assert parcel.files.keys() == expected
    assert parcel.options == (name, "--variant", "tflite-int8", "--input", "input/asked.npy")
    assert not parcel.has(".onnx")
    assert pack([tiny_bundle], None, tmp_path).has(".onnx")


def test_packs_both_files_of_a_model(tiny_bundle: Path, tmp_path: Path) -> None:
    files = ["ncnn-float32.bin", "ncnn-float32.param"]
    parcel = pack([tiny_bundle], None, tmp_path, variants=["ncnn-float32"])
    expected = [parcel.wheel, *(f"models/0/{tiny_bundle.name}/{name}" for name in [*files, "manifest.json"])]
    assert sorted(parcel.files) == sorted(expected)
    alone = pack([tiny_bundle / "ncnn-float32.param"], None, tmp_path)
    assert sorted(set(alone.files) - {alone.wheel}) == [f"models/0/{name}" for name in files]
    assert alone.options == ("models/0/ncnn-float32.param",)
    assert parcel.has(".param")
    assert alone.has(".param")


def test_packs_nothing_but_models(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(InvalidInputError, match=r"notes.txt is no model; expected a \.tflite"):
        pack([tmp_path / "notes.txt"], None, tmp_path)
    with pytest.raises(InvalidInputError, match="is no bundle"):
        pack([tmp_path], None, tmp_path)
    with pytest.raises(NotFoundError, match="absent does not exist"):
        pack([tmp_path / "absent"], None, tmp_path)
    with pytest.raises(InvalidInputError, match="no bundle was given"):
        pack([], None, tmp_path)
    with pytest.raises(InvalidInputError, match="a path was given twice"):
        pack([tmp_path, tmp_path / "." / ""], None, tmp_path)
