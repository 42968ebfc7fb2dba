// The sheet to draw on: by finger, pen or mouse, or by keyboard with a pen that the arrow keys move.

const WIDTH = 0.08; // of a stroke, as a share of the sheet: a digit that fills it has the strokes of MNIST's
const STEP = 0.04; // of the keyboard's pen

// Returns {image, draw, clear}; `onDrawn` is called when a stroke is finished, `onCleared` when the sheet is blank.
export function makeSheet(canvas, pen, onDrawn, onCleared) {
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const size = canvas.width;
  Object.assign(context, { lineCap: "round", lineJoin: "round", lineWidth: size * WIDTH, strokeStyle: "#000" });
  const wipe = () => {
    context.fillStyle = "#fff";
    context.fillRect(0, 0, size, size);
  };
  const line = (from, to) => {
    context.beginPath();
    context.moveTo(from[0] * size, from[1] * size);
    context.lineTo(to[0] * size, to[1] * size);
    context.stroke();
    context.beginPath(); // a line of no length is not drawn, and a tap is a dot
    context.arc(to[0] * size, to[1] * size, (size * WIDTH) / 2, 0, 2 * Math.PI);
    context.fillStyle = "#000";
    context.fill();
  };
  const sheet = {
    image: () => ({ height: size, width: size, data: context.getImageData(0, 0, size, size).data }),
    clear: () => (wipe(), onCleared()),
    draw: (strokes) => {
      wipe();
      for (const points of strokes) points.forEach((point, i) => line(points[Math.max(0, i - 1)], point));
      onDrawn();
    },
  };
  wipe();
  followPointer(canvas, line, onDrawn);
  followKeys(canvas, pen, line, onDrawn, sheet.clear);
  return sheet;
}

function followPointer(canvas, line, onDrawn) {
  let last = null; // where the stroke is; null between strokes
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || last) return; // another finger does not draw
    canvas.setPointerCapture(event.pointerId);
    last = place(event);
    line(last, last);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!last || !canvas.hasPointerCapture(event.pointerId)) return;
    const events = event.getCoalescedEvents?.() ?? [];
    for (const each of events.length ? events : [event]) {
      const next = place(each);
      line(last, next);
      last = next;
    }
  });
  const finish = (event) => {
    if (!last || !canvas.hasPointerCapture(event.pointerId)) return;
    last = null;
    onDrawn();
  };
  canvas.addEventListener("pointerup", finish);
  canvas.addEventListener("pointercancel", finish);
}

function followKeys(canvas, pen, line, onDrawn, clear) {
  const MOVES = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] };
  let at = [0.5, 0.2];
  let down = false;
  const show = () => {
    pen.style.left = `${at[0] * 100}%`;
    pen.style.top = `${at[1] * 100}%`;
    pen.classList.toggle("down", down);
  };
  const lift = () => {
    if (!down) return;
    down = false;
    show();
    onDrawn();
  };
  canvas.addEventListener("keydown", (event) => {
    const move = MOVES[event.key];
    if (move) {
      const next = at.map((value, axis) => Math.min(1, Math.max(0, value + move[axis])));
      if (down) line(at, next);
      at = next;
    } else if (event.key === " " || event.key === "Enter") {
      if (event.repeat) return;
      if (down) return event.preventDefault(), lift();
      down = true;
      line(at, at);
    } else if (event.key === "Delete" || event.key === "Backspace") {
      down = false;
      clear();
    } else return;
    event.preventDefault();
    show();
  });
  canvas.addEventListener("blur", lift);
  show();
}
