// What is shown of each variant: its answer as bars, its latency, its size, and how often it agrees with the first.

const TOP = 5;
const percent = (share) => `${(share * 100).toFixed(1)} %`;

export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

// Returns the places of the highest values, highest first; of equal ones the first.
export function best(values, count) {
  return Array.from(values.keys()).sort((one, other) => values[other] - values[one] || one - other).slice(0, count);
}

export class Card {
  constructor(variant, labels, isReference) {
    this.labels = labels;
    this.asked = this.agreed = 0;
    this.bars = element("ol", { class: "bars" });
    this.latency = element("dd", {}, "…");
    this.agreement = element("dd", {}, "–");
    this.title = element("h3", {}, variant.id);
    if (isReference) this.becomeReference();
    const figures = element("dl");
    const rows = [
      ["p50 here", this.latency],
      ["size", element("dd", {}, sizeText(variant.size_bytes))],
      ["agrees", this.agreement],
    ];
    for (const [name, value] of rows) figures.append(element("div", {}, element("dt", {}, name), value));
    this.root = element("article", { class: "card", "data-variant": variant.id, "aria-busy": "true" });
    this.root.append(this.title, element("p", { class: "scheme" }, variant.scheme), this.bars, figures);
    this.clear("loading…");
  }

  // The others' answers are compared with this one's: the first that runs.
  becomeReference() {
    this.isReference = true;
    this.agreement.textContent = "–";
    this.title.append(" ", element("small", {}, "reference"));
  }

  ready() {
    this.root.setAttribute("aria-busy", "false");
    this.clear("nothing asked yet");
  }

  clear(text) {
    this.bars.replaceChildren(element("li", { class: "none" }, text));
  }

  // Shows an answer; `expected` is the class that the reference names.
  show(probabilities, expected) {
    const rows = best(probabilities, TOP).map((place) => {
      const bar = element("span", { class: "bar", "aria-hidden": "true" });
      bar.style.setProperty("--share", probabilities[place]);
      const label = element("span", { class: "label" }, this.labels[place]);
      return element("li", {}, label, bar, element("span", { class: "share" }, percent(probabilities[place])));
    });
    this.bars.replaceChildren(...rows);
    if (this.isReference) return;
    this.asked += 1;
    this.agreed += best(probabilities, 1)[0] === expected ? 1 : 0;
    this.agreement.textContent = `${this.agreed} of ${this.asked}`;
  }

  time(milliseconds) {
    const text = milliseconds < 1 ? `${(milliseconds * 1000).toFixed(0)} µs` : `${Number(milliseconds.toPrecision(3))} ms`;
    this.latency.textContent = text;
  }
}

// Returns a line of the list of what is not run.
export const refusal = (id, reason) => element("li", {}, element("strong", {}, id), `: ${reason}`);

export function sizeText(bytes) {
  return bytes < 1e6 ? `${(bytes / 1e3).toFixed(bytes < 1e5 ? 1 : 0)} kB` : `${(bytes / 1e6).toFixed(2)} MB`;
}
