// Affine quantization, real = scale * (q - zero point), as liteport's runtime computes it, in the same precision.

const ARRAYS = {
  float32: Float32Array, int8: Int8Array, uint8: Uint8Array, int16: Int16Array, uint16: Uint16Array, int32: Int32Array,
};
const LIMITS = {
  int8: [-128, 127], uint8: [0, 255], int16: [-32768, 32767], uint16: [0, 65535], int32: [-2147483648, 2147483647],
};

// Returns the array type of a tensor; throws where its numbers cannot be handed over from here.
export function arrayType(spec) {
  if (!ARRAYS[spec.dtype]) throw new Error(`its tensor ${spec.name} holds ${spec.dtype}, which this page cannot fill`);
  return ARRAYS[spec.dtype];
}

// A half is rounded to the even neighbour, as numpy does, unlike Math.round.
export function roundEven(x) {
  const low = Math.floor(x);
  if (x - low !== 0.5) return Math.round(x);
  return low % 2 ? low + 1 : low;
}

// Returns, for each channel, the value that the tensor has for a pixel of 0 to 255: preprocessing and quantization.
export function pixelTables(preprocessing, spec, channels) {
  const of = (values, channel) => (Array.isArray(values) ? values[channel] : values);
  return Array.from({ length: channels }, (_, channel) => {
    const table = new (arrayType(spec))(256);
    for (let pixel = 0; pixel < 256; pixel += 1) {
      const real = Math.fround(pixel * of(preprocessing.scale, channel) + of(preprocessing.offset, channel));
      table[pixel] = spec.scale === null ? real : quantized(real, spec);
    }
    return table;
  });
}

function quantized(real, spec) {
  const [low, high] = LIMITS[spec.dtype];
  return Math.min(high, Math.max(low, roundEven(real / spec.scale) + spec.zero_point));
}

// Returns the real values of an output, float32.
export function dequantized(values, spec) {
  if (spec.scale === null) return Float32Array.from(values);
  const scale = Math.fround(spec.scale);
  return Float32Array.from(values, (value) => Math.fround(Math.fround(value - spec.zero_point) * scale));
}

// Returns probabilities: a model whose last layer has no activation gives logits.
export function probabilities(real, activation) {
  if (activation !== "linear") return real;
  const highest = real.reduce((one, other) => Math.max(one, other));
  const exponents = real.map((value) => Math.exp(value - highest));
  const sum = exponents.reduce((one, other) => one + other);
  return exponents.map((value) => value / sum);
}
