"""Stands in for an emulated board: stand_in_board.py WAY MARKS … IMAGES OUT SECONDS.

It answers an image with its first three pixels, and notes marks of which two with nothing between are 100 apart,
and the inference of image i takes 5,000 + i more.
"""

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

way, marks = sys.argv[1], Path(sys.argv[2])
images, out = sys.argv[-3:-1]
answers = np.load(images).reshape(len(np.load(images)), -1)[:, :3].astype(np.float32)
if way == "crash":
    print("unhandled opcode", file=sys.stderr, flush=True)
    os.kill(os.getpid(), signal.SIGSEGV)
elif way == "hang":
    time.sleep(600)
elif way == "refuse":
    sys.exit("the engine refuses the model")
elif way == "nothing":
    print("INFO: done")
    sys.exit()
elif way == "nan":
    answers[1] = np.nan
elif way == "other class":
    answers[0, 2] = 250
differences = [100] * 8 + [5100 + i for i in range(len(answers))]
if way == "fewer":
    differences.pop()
totals = np.cumsum([step for difference in differences for step in (7, difference)])
marks.write_text("".join(f"{total}\n" for total in totals) if way != "garbage" else "many\n" * len(totals))
np.savez(out, answers=answers, engine=np.array(["an-engine", "1.0", "CPU"]))
