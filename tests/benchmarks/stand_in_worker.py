"""Speaks the worker's protocol with figures that a test chose, and misbehaves where the test says so.

STAND_IN in the environment is JSON: the file to log to, and per variant the nanoseconds of an inference, the image
column that its "predictions" are read from, how many seconds a chunk takes, and at which command to do what.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

plan = json.loads(os.environ["STAND_IN"])
variant = "none"
ways = {
    "crash": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "exit": lambda: sys.exit("no more tensors"),
    "hang": lambda: time.sleep(60),
    "garbage": lambda: print("W0000 delegate created", flush=True),
    "half": lambda: print('{"result": 7}', flush=True),
    "refuse": lambda: print('{"error": "the engine refuses the model"}', flush=True),
}
for line in sys.stdin:
    request = json.loads(line)
    command, arguments = request["command"], request["arguments"]
    variant = arguments.get("variant", variant)
    if plan.get("log"):
        with Path(plan["log"]).open("a") as log:
            log.write(json.dumps([variant, command]) + "\n")
    mine = plan.get("variants", {}).get(variant, {})
    if way := mine.get(command):
        ways[way]()
        continue
    ns = mine.get("ns", 1000)
    result = {}
    if command == "load":
        result = {"ns": 5, "engine": ["stand-in", "1", "none"]}
    elif command == "latency":
        result = {"ns": [ns] * arguments["runs"], "switches": 0}
    elif command == "warm_up":
        result = {"runs": 30, "steady": mine.get("steady", True), "ns": ns}
    elif command == "memory":
        result = {"peak_bytes": mine.get("peak_bytes", 10_000_000)}
    elif command == "stages":
        result = {"preprocess": ns / 10, "invoke": ns * 0.8, "postprocess": ns / 10}
    elif command == "roofline":
        peak = {"compute": "float32", "engine": "stand-in", "macs_per_second": 1e9}
        result = {"peaks": [peak], "bandwidths": [{"working_set_bytes": 1000, "bytes_per_second": 1e9}]}
    elif command == "survey":
        result = {"layers": [], "activation_bytes": None, "left": {}}
    elif command == "layer_errors":
        result = {"layers": [{"name": "conv", "snr_db": 40.0}]}
    elif command == "throughput":
        result = {"ns": [ns * arguments["batch"]] * arguments["calls"]}  # as fast as one, whatever the workers
    elif command == "predict":
        time.sleep(mine.get("seconds", 0))
        pixels = np.load(arguments["images"])[arguments["start"] : arguments["stop"]]
        predictions = np.eye(10, dtype=np.float32)[pixels[:, 0, mine.get("column", 0), 0]]
        np.save(arguments["out"], predictions * np.float32(mine.get("factor", 1)))
    print(json.dumps({"result": result}), flush=True)
