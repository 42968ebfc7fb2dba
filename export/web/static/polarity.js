// Tells dark ink on light paper from light on dark, by what the image's border shows; liteport.runtime.paper explains it.

import { median, percentile, solved3 } from "./numbers.js";

const CLEAR = 0.35; // difference in the logarithm of brightness that light alone does not make

export function isDarkOnLight({ height, width, data }) {
  const light = Float32Array.from(data, (pixel) => Math.log(pixel + 16));
  const [perRow, perColumn, base] = borderPlane(light, height, width);
  const difference = light.map((value, i) => value - (perRow * Math.floor(i / width) + perColumn * (i % width) + base));
  const [below, above] = [-percentile(difference, 0.1), percentile(difference, 99.9)];
  return Math.max(below, above) < CLEAR ? median(data) > 127 : below > above;
}

// The plane through the border's brightness, for lighting that comes from one side.
function borderPlane(light, height, width) {
  let points = [];
  for (let i = 0; i < light.length; i += 1) {
    const [row, column] = [Math.floor(i / width), i % width];
    const border = row === 0 || column === 0 || row === height - 1 || column === width - 1;
    if (border) points.push({ row, column, value: light[i] });
  }
  const all = points;
  let plane;
  for (let round = 0; round < 3; round += 1) { // a stroke may touch the border: what is far off is left out
    plane = leastSquares(points);
    const far = all.map(({ row, column, value }) => Math.abs(value - (plane[0] * row + plane[1] * column + plane[2])));
    const limit = Math.max(0.01, 3 * median(far));
    points = all.filter((_, i) => far[i] <= limit);
  }
  return plane;
}

// The normal equations, around the points' centre, where they are well conditioned.
function leastSquares(points) {
  const mean = (key) => points.reduce((sum, point) => sum + point[key], 0) / points.length;
  const centre = { row: mean("row"), column: mean("column") };
  const rows = [0, 1, 2].map(() => [0, 0, 0, 0]);
  for (const point of points) {
    const terms = [point.row - centre.row, point.column - centre.column, 1];
    for (let i = 0; i < 3; i += 1) {
      for (let j = 0; j < 3; j += 1) rows[i][j] += terms[i] * terms[j];
      rows[i][3] += terms[i] * point.value;
    }
  }
  const [perRow, perColumn, base] = solved3(rows);
  return [perRow, perColumn, base - perRow * centre.row - perColumn * centre.column];
}
