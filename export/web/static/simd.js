// Which of WebAssembly's vector instructions this browser knows, tried by the smallest modules that use them.

const HEAD = [0, 97, 115, 109, 1, 0, 0, 0];
// A function of no arguments that gives a vector: its type, its index, and the length of what follows.
const module = (body) =>
  Uint8Array.from([...HEAD, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, body.length + 4, 1, body.length + 2, 0, ...body, 11]);
const SPLAT = [65, 0, 253, 15]; // i32.const 0, i8x16.splat

export const hasSimd = () => WebAssembly.validate(module(SPLAT));

// With i8x16.relaxed_swizzle of two vectors.
export const hasRelaxedSimd = () => WebAssembly.validate(module([...SPLAT, ...SPLAT, 253, 128, 2]));
