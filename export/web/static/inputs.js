// Ways in for images: a file chosen, a photograph, something dropped or pasted, and the examples.

import { element } from "./cards.js";
import { fetchBytes } from "./bytes.js";
import { areDigits, DIGITS } from "./strokes.js";

// Calls `onFile` with each image that the user gives.
export function watchFiles(inputs, drop, onFile) {
  for (const input of inputs) {
    input.addEventListener("change", () => {
      if (input.files.length) onFile(input.files[0]);
      input.value = ""; // so that the same file can be chosen again
    });
  }
  addEventListener("dragover", (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
  addEventListener("dragleave", (event) => event.relatedTarget || drop.classList.remove("over"));
  addEventListener("drop", (event) => {
    event.preventDefault(); // or the browser would leave the page for the file
    drop.classList.remove("over");
    const [file] = event.dataTransfer.files;
    if (file) onFile(file);
  });
  addEventListener("paste", (event) => {
    const [file] = event.clipboardData.files;
    if (file) onFile(file);
  });
}

// Fills the row of examples: strokes for a model of digits, and the images that the page was made with.
export function showExamples(row, labels, sheet, images, onFile) {
  if (sheet && areDigits(labels)) {
    for (const label of labels) {
      const button = element("button", { type: "button", "aria-label": `Draw a ${label}` }, label);
      button.addEventListener("click", () => sheet.draw(DIGITS[label]));
      row.append(button);
    }
  }
  for (const name of images) {
    const address = `examples/${encodeURIComponent(name)}`;
    const picture = element("img", { src: address, alt: "" });
    const button = element("button", { type: "button", class: "image", "aria-label": `Example ${name}` }, picture);
    button.addEventListener("click", async () => {
      try {
        onFile(new File([await fetchBytes(address)], name));
      } catch (error) {
        onFile(null, error);
      }
    });
    row.append(button);
  }
  return row.children.length > 0;
}
