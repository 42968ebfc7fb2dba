// Pillow's bilinear filter and its reduction by whole factors, so that a size is changed here as in liteport's runtime.
//
// A plane is {height, width, data}; its numbers are bytes (Uint8Array) or real (Float32Array).

const ONE = 2 ** 22; // weights for bytes are rounded to this grid, as Pillow does

// For each new place: the first old place that counts, and the weights of it and those that follow.
function weightsOf(oldSize, newSize, bytes) {
  const scale = oldSize / newSize;
  const reach = Math.max(scale, 1); // made smaller, the triangle spans all that falls together
  return Array.from({ length: newSize }, (_, place) => {
    const centre = (place + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - reach + 0.5));
    const last = Math.min(oldSize, Math.trunc(centre + reach + 0.5));
    const raw = [];
    for (let i = first; i < last; i += 1) raw.push(Math.max(0, 1 - Math.abs((i - centre + 0.5) / reach)));
    const sum = raw.reduce((one, other) => one + other, 0);
    return { first, weights: raw.map((w) => (bytes ? Math.floor(0.5 + (w / sum) * ONE) : w / sum)) };
  });
}

// One pass along rows (step 1) or columns (step = width); both write the other direction unchanged.
function pass(data, lines, lineStep, step, weights, make, newLineStep, newStep, size) {
  const bytes = data instanceof Uint8Array;
  const result = make(size);
  for (let line = 0; line < lines; line += 1) {
    for (let place = 0; place < weights.length; place += 1) {
      const { first, weights: row } = weights[place];
      let sum = bytes ? ONE / 2 : 0;
      let from = line * lineStep + first * step;
      for (let i = 0; i < row.length; i += 1, from += step) sum += data[from] * row[i];
      result[line * newLineStep + place * newStep] = bytes ? Math.min(255, Math.max(0, Math.floor(sum / ONE))) : sum;
    }
  }
  return result;
}

// Returns a plane of another size; along rows first, then along columns.
export function resized({ height, width, data }, newHeight, newWidth) {
  const bytes = data instanceof Uint8Array;
  const make = (size) => (bytes ? new Uint8Array(size) : new Float32Array(size));
  if (newWidth !== width) {
    data = pass(data, height, width, 1, weightsOf(width, newWidth, bytes), make, newWidth, 1, height * newWidth);
  }
  if (newHeight !== height) {
    const weights = weightsOf(height, newHeight, bytes);
    data = pass(data, newWidth, 1, newWidth, weights, make, 1, newWidth, newHeight * newWidth);
  }
  return { height: newHeight, width: newWidth, data };
}

// Returns bytes averaged over squares of `factor` pixels; at the right and bottom the squares may be cut.
export function reduced({ height, width, data }, factor) {
  if (factor === 1) return { height, width, data };
  const [newHeight, newWidth] = [Math.ceil(height / factor), Math.ceil(width / factor)];
  const result = new Uint8Array(newHeight * newWidth);
  for (let row = 0; row < newHeight; row += 1) {
    for (let column = 0; column < newWidth; column += 1) {
      const [bottom, right] = [Math.min(height, (row + 1) * factor), Math.min(width, (column + 1) * factor)];
      let sum = 0;
      for (let y = row * factor; y < bottom; y += 1) {
        for (let x = column * factor; x < right; x += 1) sum += data[y * width + x];
      }
      const count = (bottom - row * factor) * (right - column * factor);
      result[row * newWidth + column] = Math.floor((sum + (count >> 1)) / count);
    }
  }
  return { height: newHeight, width: newWidth, data: result };
}
