"""Measuring on another machine over SSH: it gets liteport and the models for a while, and gives back a report.

Nothing has to be installed there but Python with venv, and nothing is left there but what pip keeps in its own cache.
"""

import dataclasses
import json
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import metadata
from pathlib import Path
from tempfile import TemporaryDirectory

from liteport.errors import DeviceError
from liteport.terminal import ProgressCallback, no_progress
from liteport.train import Dataset

from ..reading import parse_report
from ..results import Report
from .connection import Connection, Finished, connected
from .failures import pip_failure
from .parcel import DATA_FILE, Parcel, pack

SPACE = 800 << 20
"""Bytes that must be free for liteport's packages: on x86-64 they take 0.5 GB, and pip unpacks more meanwhile."""

RESULT_FILE = "result.json"
_SHOWN = 60

# Prints a line for each Python found: its name, version, bits, and whether it can make environments.
_FIND_PYTHON = """
for name in NAMES; do
  command -v "$name" >/dev/null 2>&1 && "$name" -c '
import importlib.util, struct, sys
able = all(map(importlib.util.find_spec, ("venv", "ensurepip")))
print(sys.argv[1], "%d.%d.%d" % sys.version_info[:3], 8 * struct.calcsize("P"), able)
' "$name"
done
:
"""

# Compiling all of it takes as long as unpacking it. What no worker imports can wait until it is imported, if ever; the
# rest must not, as it would be compiled while the first start of an engine is timed. As to pip, a file that does not
# compile is none of our business.
_PIP = "env/bin/python -m pip install --no-compile --prefer-binary --progress-bar off --disable-pip-version-check"
_EXTRAS = {".onnx": "onnx", ".mnn": "mnn"}  # what has no wheels for 32-bit systems
_NEVER_TIMED = "/(PIL|fontTools|matplotlib|mpl_toolkits|pip|pygments|scipy|setuptools)/"
_COMPILE = f"env/bin/python -m compileall -q -x {shlex.quote(_NEVER_TIMED)} env || true"

# In a process group of its own, so that the keeper can end it with all that it started, and nothing else.
_GROUP = (
    "import os, sys\n"
    "if os.getpid() != os.getpgrp(): os.setpgid(0, 0)\n"
    'open("work.pid", "w").write(str(os.getpid()))\n'
    'os.execvp("sh", ["sh", "-c", sys.argv[1]])\n'
)


@dataclass(frozen=True)
class RemotePython:
    """A Python on a device.

    Attributes:
        name: By which it is started.
        bits: 32 or 64.
    """

    name: str
    bits: int


def measure_on_host(
    host: str,
    subjects: Sequence[str | Path],
    data: Dataset | None,
    arguments: Sequence[str] = (),
    *,
    variants: Sequence[str] | None = None,
    input_file: str | Path | None = None,
    ssh_options: Sequence[str] = (),
    progress: ProgressCallback = no_progress,
) -> Report:
    """Runs `liteport bench` on another machine and returns its report.

    Args:
        host: `device`, `user@device`, `user@device:2222` or a name of ~/.ssh/config.
        subjects: Bundles' folders, or lone model files.
        data: The data set whose test split is used; None for lone files without labels.
        arguments: Further options for `liteport bench`, such as `["--duration", "10"]`; not where its results go.
        variants: Ids of the bundles' variants to measure; None for all.
        input_file: What lone files are asked, where there is no data set; None for random values.
        ssh_options: Settings for ssh, `KEY=VALUE` as in ~/.ssh/config.
        progress: Called as work proceeds.

    Returns:
        The device's report, in which it is called `host`, and bundles and data are called as they are here.

    Raises:
        NotFoundError: If a path does not exist.
        InvalidInputError: If `host`, an option or a path is not what is expected.
        IntegrityError: If a bundle or the device's report is damaged.
        DeviceError: If the machine cannot be reached, lacks what is needed, or the work there failed.
    """
    with TemporaryDirectory(prefix="liteport-") as scratch:
        parcel = pack(subjects, data, Path(scratch), variants=variants, input_file=input_file)
        with connected(host, ssh_options, space=SPACE + parcel.size) as device:
            progress(f"{host}: connect", 1, 1, "")
            python = find_python(device)
            total = len(parcel.files)
            device.send(parcel.files, lambda sent, name: progress(f"{host}: copy", sent, total, name))
            _install(device, python, parcel, progress)
            _bench(device, python, [*parcel.options, *arguments], progress)
            content = device.run(f"cat {RESULT_FILE}").output
            names = {**parcel.names, f"{device.folder}/{DATA_FILE}": data.source if data else ""}
    return _as_called_here(content, host, names, data)


def find_python(device: Connection) -> RemotePython:
    """Looks for a Python on a device that liteport runs on and that can make environments.

    Raises:
        DeviceError: If there is none; the message says what to do.
    """
    required = dict(re.findall(r"(>=|<)\s*3\.(\d+)", metadata("liteport")["Requires-Python"]))
    lowest, limit = int(required[">="]), int(required["<"])
    names = ["python3", *(f"python3.{minor}" for minor in range(limit - 1, lowest - 1, -1))]
    answer = device.run(_FIND_PYTHON.replace("NAMES", " ".join(names))).output.decode(errors="replace")
    found = [line.split() for line in answer.splitlines() if line.count(" ") == 3]
    fitting = [entry for entry in found if lowest <= int(entry[1].split(".")[1]) < limit]
    able = [RemotePython(name, int(bits)) for name, _, bits, venv in fitting if venv == "True"]
    if able:
        return able[0]
    if fitting:
        raise DeviceError(f"{device.host}: its Python makes no environments; run there: sudo apt install python3-venv")
    there = f"{found[0][1]}; install another" if found else "none; run there: sudo apt install python3 python3-venv"
    raise DeviceError(f"{device.host}: expected Python 3.{lowest} to 3.{limit - 1} there, found {there}")


def _install(device: Connection, python: RemotePython, parcel: Parcel, progress: ProgressCallback) -> None:
    what = f"{device.host}: install"
    # What cannot be installed there, its variants become rows that say so.
    wanted = [extra for suffix, extra in _EXTRAS.items() if parcel.has(suffix) and python.bits == 64]
    extras = ",".join(("benchmarks", *wanted))
    # of the extra ncnn only the engine: what converts is for where models are exported
    wheel = " ".join([shlex.quote(f"./{parcel.wheel}[{extras}]"), *(["ncnn"] if parcel.has(".param") else [])])
    progress(what, 0, 1, "")
    script = f"{{ {python.name} -m venv env && {_PIP} {wheel} && {{ {_COMPILE}; }}; }} >&2"
    done = _run(device, python, script, lambda line: progress(what, 0, 1, line[:_SHOWN]))
    if done.code != 0:
        raise pip_failure(device.host, done.told)
    progress(what, 1, 1, "")


def _bench(device: Connection, python: RemotePython, options: Sequence[str], progress: ProgressCallback) -> None:
    def show(line: str) -> None:
        phase, _, note = line.partition(": ")
        if phase != "error":
            progress(f"{device.host}: {phase}", 1, 1, note)

    command = shlex.join(["env/bin/liteport", "bench", *options, "--json", RESULT_FILE, "--out", "report"])
    done = _run(device, python, f"{command} >/dev/null", show)
    if done.code != 0:
        lines = done.told.strip().splitlines() or [f"it ended with exit code {done.code}"]
        errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
        raise DeviceError(f"{device.host}: liteport bench failed there: {(errors or lines)[-1]}")


def _run(device: Connection, python: RemotePython, script: str, show: Callable[[str], None]) -> Finished:
    """Runs what takes long and starts processes; what it keeps for a while is kept in the folder."""
    settings = 'mkdir -p tmp && export TMPDIR="$PWD/tmp" MPLCONFIGDIR="$PWD/tmp" PYTHONUTF8=1'
    ended = "code=$?; rm -f work.pid; exit $code"  # of a group that is gone, the number may soon be another's
    group = f"exec {python.name} -c {shlex.quote(_GROUP)} {shlex.quote(f'{script}; {ended}')} </dev/null"
    return device.run(f"{settings} && {group}", show)


def _as_called_here(content: bytes, host: str, names: Mapping[str, str], data: Dataset | None) -> Report:
    """Reads a device's report and gives device, models and data the names that they have here."""
    for there, here in names.items():
        content = content.replace(_in_json(there), _in_json(here))
    report = parse_report(content, f"the report from {host}")
    replace = dataclasses.replace
    digest = None if data is None else data.digest
    return replace(
        report,
        devices=tuple(replace(device, name=host) for device in report.devices),
        rows=tuple(replace(row, device=host) for row in report.rows),
        bundles=tuple(replace(entry, data_digest=entry.data_digest and digest) for entry in report.bundles),
        pictures=tuple(replace(entry, data_digest=digest or entry.data_digest) for entry in report.pictures),
    )


def _in_json(text: str) -> bytes:
    return json.dumps(text, ensure_ascii=False)[1:-1].encode()
