// Told where modules cannot load at all: a page opened as a file, not from a server. A plain script, as those do run.
"use strict";
if (location.protocol === "file:") {
  const problem = document.getElementById("problem");
  problem.textContent = "Browsers load no modules from files: have a server give this folder, such as liteport web … --serve, or python3 -m http.server in it.";
  problem.hidden = false;
  document.getElementById("status").textContent = "";
}
