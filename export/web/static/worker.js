// The engines' own thread: drawing stays smooth while they are loaded, and while they compute.

import { keepLoaded } from "./keep.js";
import { medianLatency, openVariant, warm } from "./variant.js";

const opened = new Map(); // functions from pixels to probabilities, by variant
const WORK = {
  warm,
  async open(manifest, variant, bytes) {
    const predict = oneByOne(await openVariant(manifest, variant, bytes));
    await predict(new Uint8Array(manifest.input.shape.slice(1).reduce((one, other) => one * other))); // does it run?
    opened.set(variant.id, predict);
  },
  ask: (id, pixels) => opened.get(id)(pixels),
  keep: keepLoaded,
  measure: (id, pixels) => medianLatency(opened.get(id), pixels),
};

// Engines have one memory for a model's input: the next question waits for the answer to the last.
function oneByOne(predict) {
  let last = Promise.resolve();
  return (pixels) => (last = last.catch(() => {}).then(() => predict(pixels)));
}

onmessage = async ({ data: { number, work, values } }) => {
  try {
    postMessage({ number, result: await WORK[work](...values) });
  } catch (error) {
    postMessage({ number, error: String(error?.message ?? error) });
  }
};
