// JSON in the form over which a manifest's digest is taken: keys sorted, no blanks, numbers written as they stand.
//
// JSON.parse would not do: it forgets how a number was written (1.0, 7e-07), which counts here. So the document is cut
// into its tokens, and its objects are put together again with their keys in order.

const TOKEN = /\s*(?:([{}[\],:])|("(?:[^"\\]|\\.)*")|(-?\d[\d.eE+-]*|true|false|null))\s*/y;

// Returns the canonical text of a JSON object, with the keys in `without` left out of its top level.
export function canonical(text, without = []) {
  TOKEN.lastIndex = 0;
  const result = value(text, without);
  if (TOKEN.lastIndex !== text.length) throw new SyntaxError("something follows its end");
  return result;
}

function next(text) {
  const found = TOKEN.exec(text);
  if (!found) throw new SyntaxError("it is no JSON");
  return found[1] ?? (found[2] ? JSON.stringify(JSON.parse(found[2])) : found[3]);
}

function value(text, without = []) {
  const token = next(text);
  return token === "{" ? object(text, without) : token === "[" ? array(text) : token;
}

function array(text) {
  const items = [];
  if (closes(text, "]")) return "[]";
  do items.push(value(text));
  while (goesOn(text, "]"));
  return `[${items.join(",")}]`;
}

function object(text, without) {
  const entries = new Map();
  if (closes(text, "}")) return "{}";
  do {
    const key = next(text);
    if (key[0] !== '"' || next(text) !== ":") throw new SyntaxError("a key is missing");
    if (entries.has(key)) throw new SyntaxError(`the key ${key} stands twice in one object`);
    entries.set(key, value(text));
  } while (goesOn(text, "}"));
  for (const key of without) entries.delete(JSON.stringify(key));
  const keys = [...entries.keys()].sort(byCodePoint);
  return `{${keys.map((key) => `${key}:${entries.get(key)}`).join(",")}}`;
}

function closes(text, end) {
  const start = TOKEN.lastIndex;
  if (next(text) === end) return true;
  TOKEN.lastIndex = start;
  return false;
}

function goesOn(text, end) {
  const token = next(text);
  if (token !== "," && token !== end) throw new SyntaxError(`found ${token}, expected a comma or ${end}`);
  return token === ",";
}

function byCodePoint(one, other) {
  const [a, b] = [one, other].map((key) => Array.from(JSON.parse(key), (letter) => letter.codePointAt(0)));
  const place = a.findIndex((code, i) => code !== b[i]);
  return place < 0 ? a.length - b.length : a[place] - (b[place] ?? -1);
}
