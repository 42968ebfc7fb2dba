"""Brings up to date, in `.arm/`, the emulated Pythons that `liteport bench --emulate` builds for its users.

    python tests/arm/build.py --for-tests aarch64 armv7l

With `--for-tests`, each gets what the tests need besides. How they are built says `benchmarks/devices`.
"""

import argparse
import os
from pathlib import Path

from liteport.benchmarks.devices.arm_environment import Environment, Step
from liteport.benchmarks.devices.boards import ARCHITECTURES
from liteport.benchmarks.devices.emulation import environments
from liteport.terminal import progress

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDER = ROOT / ".arm"
TOOLS = {
    "aarch64": ("liteport[image,onnx,sign]", "pytest", "hypothesis", "onnx"),
    "armv7l": ("pytest", "hypothesis", "flatbuffers"),
}
UNPINNED = {"aarch64": (), "armv7l": ("numpy", "pillow", "hypothesis")}
"""What has no wheel there in the version of constraints.txt: other versions may serve."""


def tools(environment: Environment) -> Step:
    """The step that installs what the tests need."""
    name = environment.architecture.name
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines(keepends=True)
    limits = "".join(line for line in lines if line.partition("==")[0] not in UNPINNED[name])

    def install() -> None:
        path = environment.venv / "test-constraints.txt"
        path.write_text(limits, encoding="utf-8")
        environment.pip("-c", str(path), *TOOLS[name])

    return Step(environment.venv / "tools.txt", f"{TOOLS[name]}\n{limits}", install)


def main() -> None:
    """Builds the environments named on the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("architectures", nargs="+", choices=sorted(ARCHITECTURES))
    parser.add_argument("--for-tests", action="store_true", help="install pytest and the extras that tests need")
    options = parser.parse_args()
    os.environ["LITEPORT_ARM_CACHE"] = str(FOLDER)
    with progress() as show, environments(options.architectures, show) as found:
        for environment in found.values():
            if options.for_tests:
                tools(environment).do()
            print(f"arm: {environment.venv} is ready", flush=True)


if __name__ == "__main__":
    main()
