// One variant, loaded: from pixels to probabilities, and how long that takes here.

import { engineOf } from "./formats.js";
import { openLiteRt } from "./litert.js";
import { openOnnx } from "./onnx.js";
import { arrayType, dequantized, pixelTables, probabilities } from "./quantization.js";

const OPEN = { "LiteRT.js": openLiteRt, "onnxruntime-web": openOnnx };
// Begins to load what most bundles' first variant needs; see `openVariant` for the others.
export { warmLiteRt as warm } from "./litert.js";

const SAMPLES = 15; // of the latency, whose median is shown
const SAMPLE_MS = 3; // that each sample takes at least: browsers tell time in steps of up to 0.1 ms, some of 1 ms
const BUDGET_MS = 400; // for all of them, so that a slow model does not hold up the page

// Returns a function from uint8 pixels (H, W, C) to probabilities.
export async function openVariant(manifest, variant, bytes) {
  const [input] = variant.inputs;
  const [output] = variant.outputs;
  const shape = [input.shape[0] ?? 1, ...manifest.input.shape.slice(1)];
  const channels = shape[3];
  const tables = pixelTables(manifest.input.preprocessing, input, channels);
  // Of a file whose batch is fixed, the first item is asked and the others stay zero.
  const values = new (arrayType(input))(shape.reduce((one, other) => one * other));
  const ask = await OPEN[engineOf(variant)](bytes, input, output, shape);
  const classes = manifest.output.labels.length;
  return async (pixels) => {
    for (let i = 0; i < pixels.length; i += 1) values[i] = tables[i % channels][pixels[i]];
    const answer = (await ask(values)).subarray(0, classes);
    return probabilities(dequantized(answer, output), manifest.output.activation);
  };
}

// Returns the median latency of one prediction in milliseconds, everything between pixels and probabilities included.
export async function medianLatency(predict, pixels) {
  const until = performance.now() + BUDGET_MS;
  let calls = 1;
  const samples = [];
  while (samples.length < SAMPLES && (!samples.length || performance.now() < until)) {
    const start = performance.now();
    for (let i = 0; i < calls; i += 1) await predict(pixels);
    const took = performance.now() - start;
    if (took >= SAMPLE_MS || performance.now() >= until) samples.push(took / calls);
    else calls *= 2; // too short to be told: it counts as a warm-up
    await new Promise((resolve) => setTimeout(resolve)); // what the user does meanwhile comes first
  }
  samples.sort((one, other) => one - other);
  return samples[samples.length >> 1];
}
