// Digits as strokes, for those who cannot or will not draw: points from 0 to 1, x to the right and y down.

const arc = (x, y, rx, ry, from, to) =>
  Array.from({ length: 49 }, (_, i) => {
    const angle = ((from + ((to - from) * i) / 48) * Math.PI) / 180;
    return [x + rx * Math.cos(angle), y + ry * Math.sin(angle)];
  });

export const DIGITS = {
  0: [arc(0.5, 0.5, 0.22, 0.32, -90, 270)],
  1: [[[0.54, 0.18], [0.48, 0.82]]],
  2: [[...arc(0.5, 0.36, 0.2, 0.18, -170, 40), [0.3, 0.82], [0.74, 0.8]]],
  3: [[...arc(0.48, 0.34, 0.19, 0.16, -150, 90), ...arc(0.48, 0.66, 0.21, 0.16, -90, 150)]],
  4: [[[0.34, 0.2], [0.29, 0.54], [0.72, 0.52]], [[0.68, 0.2], [0.62, 0.84]]],
  5: [[[0.7, 0.18], [0.4, 0.2], [0.36, 0.46], ...arc(0.46, 0.64, 0.21, 0.19, -110, 140)]],
  6: [[[0.62, 0.16], [0.44, 0.34], ...arc(0.5, 0.64, 0.17, 0.18, 200, 560)]],
  7: [[[0.28, 0.22], [0.72, 0.21], [0.46, 0.84]]],
  8: [[...arc(0.5, 0.34, 0.15, 0.15, 90, -270), ...arc(0.5, 0.66, 0.18, 0.17, -90, 270)]],
  9: [[...arc(0.5, 0.36, 0.17, 0.17, 0, -360), [0.66, 0.4], [0.62, 0.84]]],
};

// Whether a model's classes are the ten digits, whatever their order.
export const areDigits = (labels) => labels.length === 10 && labels.every((label) => label in DIGITS);
