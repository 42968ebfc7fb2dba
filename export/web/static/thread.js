// Calls to the engines' thread: each gives a promise of its answer.

const worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
const waiting = new Map();
let count = 0;

worker.onmessage = ({ data: { number, result, error } }) => {
  const { resolve, reject } = waiting.get(number);
  waiting.delete(number);
  if (error === undefined) resolve(result);
  else reject(new Error(error));
};
worker.onerror = (event) => {
  event.preventDefault();
  for (const { reject } of waiting.values()) reject(new Error(event.message || "the engines' thread cannot start"));
  waiting.clear();
};

export const call = (work, ...values) =>
  new Promise((resolve, reject) => {
    waiting.set((count += 1), { resolve, reject });
    worker.postMessage({ number: count, work, values });
  });
