// ONNX files by onnxruntime-web, on the CPU, by one thread.

import { fetchUnpacked } from "./bytes.js";
import { arrayType } from "./quantization.js";

let loading; // of the engine, once for all files

// Returns what runs a file: a function from an input array to an output array.
export async function openOnnx(bytes, input, output, shape) {
  const engine = await (loading ??= load());
  arrayType(input); // throws where it cannot be filled from here
  let session;
  try {
    session = await engine.InferenceSession.create(bytes, { executionProviders: ["wasm"], intraOpNumThreads: 1 });
  } catch (error) {
    throw new Error(`onnxruntime-web refuses it: ${String(error?.message ?? error).split("\n")[0]}`);
  }
  return async (values) => {
    const results = await session.run({ [input.name]: new engine.Tensor(input.dtype, values, shape) });
    const made = results[output.name];
    const copy = made.data.slice(); // the engine's memory is taken back below
    made.dispose();
    return copy;
  };
}

const unpacked = async (url) => (await fetchUnpacked(url, "application/wasm")).arrayBuffer();

async function load() {
  const [engine, wasm] = await Promise.all([import("./engines/onnx.mjs"), unpacked("engines/onnx.wasm.gz")]);
  engine.env.wasm.wasmBinary = wasm;
  engine.env.wasm.numThreads = 1; // more need headers that not every server sends
  engine.env.logLevel = "error";
  return engine;
}
