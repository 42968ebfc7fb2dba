"""`liteport doctor`."""

import platform
from importlib.metadata import version

from liteport.terminal import print_table

from .backends import ENGINES, installed, installed_version
from .cpu import cpu_features, read_cpuinfo, this_cpu

# Beside the engines: what each extra brings, and the package that shows whether it is there.
_EXTRAS = {
    "image": "Pillow",
    "sign": "cryptography",
    "train": "tensorflow",
    "export": "tf2onnx",
    "micro": "tflite-micro",
    "benchmarks": "psutil",
}


def doctor() -> None:
    """Show versions, the engines found, the CPU's features, and what to install for what is missing."""
    print(f"liteport {version('liteport')}, Python {platform.python_version()}, {platform.platform()}")
    print(f"CPU: {this_cpu()} ({platform.machine()})")
    print(f"features: {' '.join(cpu_features(read_cpuinfo())) or 'not told by this system'}")
    rows = []
    missing = []
    for engine in ENGINES:
        found = version(engine.package) if installed(engine) else None
        rows.append([f"running {engine.suffix} files", engine.package, found or "not installed"])
        served = any(other.suffix == engine.suffix and installed(other) for other in ENGINES)
        if not served and engine.install not in missing:
            missing.append(engine.install)
    for extra, package in _EXTRAS.items():
        found = installed_version(package)
        rows.append([f"the extra [{extra}]", package, found or "not installed"])
        if found is None:
            missing.append(f'pip install "liteport[{extra}]"')
    print_table("", ("for", "package", "version"), rows, left=3)
    print("to install what is missing:\n" + "\n".join(f"  {line}" for line in missing) if missing else "all is there")
