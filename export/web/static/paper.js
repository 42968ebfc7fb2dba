// Dark ink on light paper, prepared as the digits of MNIST were: light ink on nothing, of one size, centred.
//
// The same four steps, with the same constants, as liteport.runtime.paper, which explains them and names the sources.

import { median, percentile, range, sumOf } from "./numbers.js";
import { roundEven } from "./quantization.js";
import { resized } from "./resize.js";

export const WORKING_SIZE = 512; // pixels of the longer edge that are enough to work with
const BOX = 20 / 28;
const TILES = 32;
const WIDEST_STROKE = 3 / 8;
const FAINTEST = 0.1;
const EDGE = 0.25;
const DIRT = 0.05;

// Returns pixels of the model's size; null if there is no ink.
export function prepared(gray, height, width) {
  const ink = inkOf(gray);
  return ink && centred(cut(cleaned({ ...gray, data: ink })), height, width);
}

// How much ink there is: 0 for paper, 1 where the ink is as dark as it usually is.
function inkOf(gray) {
  const paper = paperOf(gray);
  const darkness = Float32Array.from(gray.data, (pixel, i) => 1 - pixel / Math.max(paper[i], 1));
  const [low, high] = range(darkness);
  if (high - low < FAINTEST) return null;
  const threshold = otsu(darkness, low, high);
  const rest = darkness.filter((value) => value <= threshold);
  const nothing = median(rest);
  const noise = 1.4826 * median(rest.map((value) => Math.abs(value - nothing)));
  const full = percentile(darkness.filter((value) => value > threshold), 75);
  if (full - nothing < Math.max(FAINTEST, 4 * noise)) return null;
  const faint = Math.min(0.5, Math.max(EDGE / 2, (3 * noise) / (full - nothing)));
  return darkness.map((value) => {
    const ink = Math.fround(Math.min(1, Math.max(0, (value - nothing) / (full - nothing))));
    return ink < faint ? 0 : ink;
  });
}

// The brightness that the paper has, or would have were there no ink on it.
function paperOf({ height, width, data }) {
  const tile = Math.ceil(Math.min(height, width) / TILES);
  const [rows, columns] = [Math.ceil(height / tile), Math.ceil(width / tile)];
  const light = new Float32Array(rows * columns);
  const values = new Float64Array(tile * tile);
  for (let i = 0; i < light.length; i += 1) {
    const [top, left] = [Math.floor(i / columns) * tile, (i % columns) * tile];
    for (let j = 0; j < values.length; j += 1) { // beyond the image its last row and column go on
      const y = Math.min(height - 1, top + Math.floor(j / tile));
      values[j] = data[y * width + Math.min(width - 1, left + (j % tile))];
    }
    light[i] = percentile(values, 75);
  }
  const widest = Math.min(Math.max(rows, columns) * WIDEST_STROKE, Math.min(rows, columns) * 2 * WIDEST_STROKE);
  const reach = Math.max(1, roundEven(widest / 2));
  const closed = closing({ height: rows, width: columns, data: light }, reach);
  const full = resized(closed, rows * tile, columns * tile);
  const result = new Float32Array(height * width);
  for (let y = 0; y < height; y += 1) result.set(full.data.subarray(y * full.width, y * full.width + width), y * width);
  return result;
}

// Fills what is dark and narrower than twice the reach: the highest value around, then the lowest of those.
function closing({ height, width, data }, reach) {
  const margin = 2 * reach;
  let plane = { height: height + 2 * margin, width: width + 2 * margin };
  plane.data = new Float32Array(plane.height * plane.width);
  for (let y = 0; y < plane.height; y += 1) {
    for (let x = 0; x < plane.width; x += 1) {
      const [row, column] = [y - margin, x - margin].map((v, axis) => Math.min([height, width][axis] - 1, Math.max(0, v)));
      plane.data[y * plane.width + x] = data[row * width + column];
    }
  }
  plane = extreme(plane, reach, Math.max);
  return extreme(plane, reach, Math.min);
}

// The highest (or lowest) value within reach in both directions, where that lies inside.
function extreme({ height, width, data }, reach, pick) {
  const span = 2 * reach + 1;
  const [newHeight, newWidth] = [height - 2 * reach, width - 2 * reach];
  const tall = new Float32Array(newHeight * width);
  for (let i = 0; i < tall.length; i += 1) {
    let value = data[i];
    for (let step = 1; step < span; step += 1) value = pick(value, data[i + step * width]);
    tall[i] = value;
  }
  const result = new Float32Array(newHeight * newWidth);
  for (let i = 0; i < result.length; i += 1) {
    const start = Math.floor(i / newWidth) * width + (i % newWidth);
    let value = tall[start];
    for (let step = 1; step < span; step += 1) value = pick(value, tall[start + step]);
    result[i] = value;
  }
  return { height: newHeight, width: newWidth, data: result };
}

// The threshold that parts the values into two classes of the least variance within.
function otsu(values, low, high) {
  const counts = new Float64Array(256);
  const step = (high - low) / 256;
  for (const value of values) counts[Math.min(255, Math.floor((value - low) / step))] += 1;
  const middles = Array.from(counts, (_, i) => low + (i + 0.5) * step);
  const total = sumOf(counts);
  const all = sumOf(counts.map((count, i) => count * middles[i]));
  let [below, sum, best, at] = [0, 0, -1, 0];
  counts.forEach((count, i) => {
    below += count;
    sum += count * middles[i];
    const above = total - below;
    const between = below && above ? below * above * (sum / below - (all - sum) / above) ** 2 : 0;
    if (between > best) [best, at] = [between, i];
  });
  return low + (at + 1) * step;
}

// Leaves out the spots that hold little ink.
function cleaned({ height, width, data }) {
  const spots = connected(data, height, width);
  const amounts = new Float64Array(spots.count + 1);
  spots.numbers.forEach((number, i) => (amounts[number] += number ? data[i] : 0));
  const least = DIRT * range(amounts)[1];
  const kept = data.map((value, i) => (spots.numbers[i] && amounts[spots.numbers[i]] >= least ? value : 0));
  return { height, width, data: kept };
}

// Numbers the connected spots from 1, corners count as neighbours; 0 is no spot.
function connected(data, height, width) {
  const numbers = new Int32Array(data.length);
  let count = 0;
  for (let start = 0; start < data.length; start += 1) {
    if (numbers[start] || data[start] <= EDGE) continue;
    count += 1;
    numbers[start] = count;
    for (const waiting = [start]; waiting.length; ) {
      const place = waiting.pop();
      const [row, column] = [Math.floor(place / width), place % width];
      for (let y = Math.max(0, row - 1); y <= Math.min(height - 1, row + 1); y += 1) {
        for (let x = Math.max(0, column - 1); x <= Math.min(width - 1, column + 1); x += 1) {
          const near = y * width + x;
          if (numbers[near] || data[near] <= EDGE) continue;
          numbers[near] = count;
          waiting.push(near);
        }
      }
    }
  }
  return { numbers, count };
}

// The rectangle around all ink.
function cut({ height, width, data }) {
  let [top, left, bottom, right] = [height, width, -1, -1];
  data.forEach((value, i) => {
    if (!value) return;
    const [row, column] = [Math.floor(i / width), i % width];
    [top, bottom, left, right] = [Math.min(top, row), Math.max(bottom, row), Math.min(left, column), Math.max(right, column)];
  });
  const result = { height: bottom - top + 1, width: right - left + 1 };
  result.data = new Float32Array(result.height * result.width);
  for (let y = 0; y < result.height; y += 1) {
    const from = (top + y) * width + left;
    result.data.set(data.subarray(from, from + result.width), y * result.width);
  }
  return result;
}

// Scales ink into the box and puts its centre of mass in the image's middle, as far as it then still fits.
function centred(ink, height, width) {
  const scale = Math.min((height * BOX) / ink.height, (width * BOX) / ink.width);
  const small = resized(ink, ...[ink.height, ink.width].map((size) => Math.max(1, roundEven(size * scale))));
  const bytes = Uint8Array.from(small.data, (value) => Math.min(255, Math.max(0, roundEven(Math.fround(value * 255)))));
  const total = Math.max(1, sumOf(bytes));
  const centre = [0, 0];
  bytes.forEach((value, i) => {
    centre[0] += (Math.floor(i / small.width) * value) / total;
    centre[1] += ((i % small.width) * value) / total;
  });
  const corner = (size, inner, middle) => Math.min(size - inner, Math.max(0, roundEven(size / 2 - middle)));
  const [top, left] = [corner(height, small.height, centre[0]), corner(width, small.width, centre[1])];
  const image = new Uint8Array(height * width);
  for (let y = 0; y < small.height; y += 1) {
    image.set(bytes.subarray(y * small.width, (y + 1) * small.width), (top + y) * width + left);
  }
  return image;
}
