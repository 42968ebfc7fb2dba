// Which engine runs a variant's file here, and why others are not run.

const ENGINES = { ".tflite": "LiteRT.js", ".onnx": "onnxruntime-web" };
const other = (engine) => `${engine} has no engine on this page: it runs TFLite and ONNX files. Run it with liteport predict.`;
const REASONS = {
  ".param": other("ncnn"),
  ".mnn": other("MNN"),
  ".cc": "This is C source for microcontrollers, not a file that an engine in a browser loads.",
};

const suffixOf = (variant) => /\.[^.]*$/.exec(variant.file)?.[0] ?? "";

// Returns the engine's name; undefined where there is none.
export function engineOf(variant) {
  return ENGINES[suffixOf(variant)];
}

// Returns why a variant without an engine is not run.
export function reasonOf(variant) {
  return REASONS[suffixOf(variant)] ?? "No engine on this page runs such files.";
}
