// Statistics as numpy defines them.

// The share p (0 to 100) of the values lies below the result; between two values it is interpolated.
export function percentile(values, p) {
  const sorted = Float64Array.from(values).sort();
  const place = ((sorted.length - 1) * p) / 100;
  const low = Math.floor(place);
  const high = Math.min(low + 1, sorted.length - 1);
  return sorted[low] + (sorted[high] - sorted[low]) * (place - low);
}

export const median = (values) => percentile(values, 50);

export const sumOf = (values) => values.reduce((one, other) => one + other, 0);

// [lowest, highest], for arrays that are too long for Math.min(...values).
export function range(values) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}

// Solves three linear equations, given as rows [a, b, c, right side], by elimination with pivots.
export function solved3(rows) {
  for (let column = 0; column < 3; column += 1) {
    const best = rows.slice(column).reduce((one, other) => (Math.abs(other[column]) > Math.abs(one[column]) ? other : one));
    const at = rows.indexOf(best);
    [rows[column], rows[at]] = [rows[at], rows[column]];
    for (const row of rows) {
      if (row === rows[column] || !rows[column][column]) continue;
      const share = row[column] / rows[column][column];
      for (let i = column; i < 4; i += 1) row[i] -= share * rows[column][i];
    }
  }
  return rows.map((row, place) => (row[place] ? row[3] / row[place] : 0));
}
