// TFLite files by LiteRT.js, through the functions that its WebAssembly module exports.
//
// The package's own JavaScript layer knows float32, int32 and uint8 only, and no batch that is left open, which is what
// liteport exports; the module beneath it takes every type, and the shape that it is told.

import { fetchUnpacked } from "./bytes.js";
import { arrayType } from "./quantization.js";
import { hasRelaxedSimd } from "./simd.js";

let loading; // of the engine, once for all files; begun by the first who needs it
const log = []; // what it last wrote, to be told where it fails

// Begins to load the engine before there is a file for it.
export function warmLiteRt() {
  loading ??= load();
  loading.catch(() => {}); // told where a file is opened
}

// Returns what runs a file: a function from an input array to an output array.
export async function openLiteRt(bytes, input, output, shape) {
  const { module, environment } = await (loading ??= load());
  try {
    const address = module._malloc(bytes.length); // never freed: the model lives on it as long as the page
    module.HEAPU8.set(bytes, address);
    const model = module.loadModel(environment, address, bytes.length);
    const options = { environment, accelerator: "wasm", cpuOptions: { numThreads: 1 }, gpuOptions: {}, webNNOptions: {} };
    const compiled = await module.compileModel(environment, model, options);
    const buffer = inputBuffer(module, environment, model, shape);
    return (values) => run(module, compiled, buffer, values, arrayType(output));
  } catch (error) {
    throw new Error(`LiteRT.js refuses it: ${[...log.splice(0), messageOf(error)].at(-1)}`);
  }
}

async function load() {
  const build = (await hasRelaxedSimd()) ? "litert" : "litert-compat";
  const [script, wasm] = await Promise.all([
    fetchUnpacked(`engines/${build}.js.gz`, "text/javascript").then((response) => response.blob()),
    WebAssembly.compileStreaming(fetchUnpacked(`engines/${build}.wasm.gz`, "application/wasm")),
  ]);
  // The script is no module: it leaves its function in a variable, which this one line exports.
  const source = new Blob([script, "\nexport default ModuleFactory;"], { type: "text/javascript" });
  const url = URL.createObjectURL(source);
  const { default: makeModule } = await import(url);
  URL.revokeObjectURL(url);
  const note = (line) => log.splice(0, log.length, ...[...log, String(line)].filter((text) => /ERROR/.test(text)).slice(-5));
  const instantiateWasm = (imports, done) => {
    WebAssembly.instantiate(wasm, imports).then((instance) => done(instance, wasm));
    return {}; // it comes later
  };
  const module = await makeModule({ instantiateWasm, print: note, printErr: note });
  module.setupLogging();
  return { module, environment: module.LiteRtEnvironment.create(null) };
}

function inputBuffer(module, environment, model, shape) {
  const stated = model.getInputTensorType(0, 0);
  const sizes = new module.VectorInt32();
  for (const size of shape) sizes.push_back(size);
  const layout = module.LiteRtLayout.create(sizes);
  const type = module.LiteRtRankedTensorType.create({ value: stated.elementType().value }, layout);
  const kind = module.LiteRtTensorBufferType.HOST_MEMORY;
  const buffer = module.LiteRtTensorBuffer.createManaged(environment, kind, type, type.bytes());
  for (const used of [stated, sizes, layout, type]) used.delete();
  return buffer;
}

async function run(module, compiled, buffer, values, OutputArray) {
  const target = buffer.lock(module.LiteRtTensorBufferLockMode.WRITE);
  module.HEAPU8.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), target);
  buffer.unlock();
  const made = await compiled.run(0, [buffer]);
  const source = made[0].lock(module.LiteRtTensorBufferLockMode.READ);
  const bytes = module.HEAPU8.slice(source, source + made[0].size());
  made[0].unlock();
  for (const output of made) output.delete();
  return new OutputArray(bytes.buffer);
}

function messageOf(error) {
  return String(error?.message ?? error).split("\n")[0];
}
