// What was so at a time: who is up, which faults are under way, what was said last.
const turns = about.nodes.map(() => []);
const said = about.nodes.map(() => []);
const shown = about.nodes.map(() => []);
for (let at = 0; at < count; at++) {
  const kind = kindName(at);
  const node = nodeOf[at];
  if (["boot", "crash", "exit", "ready"].includes(kind)) turns[node].push(at);
  else if (["text", "asks", "told", "call", "return"].includes(kind)) said[node].push(at);
  else if (kind === "shown") shown[node].push(at);
}

function lastUpTo(list, at) {
  let low = 0, high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (list[middle] <= at) low = middle + 1; else high = middle;
  }
  return low - 1;
}

function stateOf(node, at) {
  const place = lastUpTo(turns[node], at);
  const known = place < 0 ? "" : kindName(turns[node][place]);
  const when = at < 0 ? 0 : time[at];
  const struck = bands.filter(band => band.nodes.includes(node) && band.from <= when && when < band.to);
  const word = lastUpTo(said[node], at);
  const latest = new Map();
  // What was shown before the node went down, or came back, is gone.
  let since = place;
  while (since >= 0 && kindName(turns[node][since]) === "ready") since--;
  for (let up = lastUpTo(shown[node], at); up >= 0 && latest.size < 4; up--) {
    if (since >= 0 && turns[node][since] > shown[node][up]) break;
    const text = textOf(shown[node][up]);
    const name = text.split(": ", 1)[0];
    if (!latest.has(name)) latest.set(name, text);
  }
  const up = known === "boot" || known === "ready";
  const names = struck.map(band => band.name);
  return {
    up,
    status: up ? (known === "ready" ? "up" : "starting") : known === "exit" && !textOf(turns[node][place]).includes("error") ? "finished" : "down",
    faults: names,
    said: word < 0 ? "" : textOf(said[node][word]),
    shown: [...latest.values()],
  };
}

// From when to when each node was down.
const downs = [];
for (let node = 0; node < world; node++) {
  let since = -1;
  for (const at of turns[node]) {
    const kind = kindName(at);
    if (kind === "crash" || kind === "exit") since = time[at];
    else if (kind === "boot" && since >= 0) {
      downs.push({ node, from: since, to: time[at] });
      since = -1;
    }
  }
  if (since >= 0) downs.push({ node, from: since, to: end });
}
