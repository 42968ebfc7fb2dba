"""The script that runs a model in tflite-runtime, in that package's own environment.

    python tflite_runtime_worker.py version                             prints the package's version
    python tflite_runtime_worker.py MODEL NAMES INPUTS OUTPUTS          runs the model once

NAMES is a JSON list of inputs, INPUTS an .npz with their arrays in that order; OUTPUTS is written in the same way, and
the outputs' names are printed. It imports nothing of liteport, and runs on Python 3.9 and numpy 1.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tflite_runtime.interpreter import Interpreter


def details(interpreter: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns the details of inputs and of outputs by signature name; by tensor name where there is no signature."""
    signatures = interpreter.get_signature_list()
    if signatures:
        runner = interpreter.get_signature_runner(next(iter(signatures)))
        return runner.get_input_details(), runner.get_output_details()
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    return {detail["name"]: detail for detail in inputs}, {detail["name"]: detail for detail in outputs}


def run(model: str, feeds: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Runs the model on arrays by input name and returns arrays by output name."""
    interpreter = Interpreter(model_path=model)
    interpreter.allocate_tensors()
    inputs, outputs = details(interpreter)
    if set(inputs) != set(feeds):
        raise ValueError(f"its inputs are {sorted(inputs)}, expected {sorted(feeds)}")
    for name, array in feeds.items():
        if tuple(inputs[name]["shape"]) != array.shape:
            interpreter.resize_tensor_input(inputs[name]["index"], array.shape, strict=True)
    interpreter.allocate_tensors()
    for name, array in feeds.items():
        interpreter.set_tensor(inputs[name]["index"], array)
    interpreter.invoke()
    return {name: interpreter.get_tensor(detail["index"]) for name, detail in outputs.items()}


def main(model: str, names: str, inputs: str, outputs: str) -> None:
    """Does what the command line says."""
    with np.load(inputs) as arrays:
        feeds = {name: arrays[f"arr_{position}"] for position, name in enumerate(json.loads(names))}
    try:
        results = run(model, feeds)
    except (ValueError, RuntimeError) as error:
        sys.exit(" ".join(str(error).split()))
    np.savez(outputs, *results.values())
    print(json.dumps(list(results)))


if __name__ == "__main__":
    if sys.argv[1:] == ["version"]:
        print(version("tflite-runtime"))
    else:
        main(*sys.argv[1:])
