// The trace as columns, and what is found in it once.
const data = JSON.parse(document.getElementById("data").textContent);
const { about, kinds, texts, bands } = data;
const count = data.node.length;
const world = about.nodes.length - 1;

const time = new Float64Array(count);
const ids = new Float64Array(count);
const cause = new Int32Array(count);
for (let at = 0, sum = 0, id = 0; at < count; at++) {
  time[at] = sum += data.time[at];
  ids[at] = id += data.id[at];
  cause[at] = data.cause[at] ? at - data.cause[at] : -1;
}
const nodeOf = Uint16Array.from(data.node);
const kindOf = Uint8Array.from(data.kind);
const peerOf = at => data.peer[at] - 1;
const textOf = at => texts[data.text[at]];
const kindName = at => kinds[kindOf[at]];
const start = count ? Math.min(0, time[0]) : 0;
const end = Math.max(about.end_ns, count ? time[count - 1] : 0, 1);

const groups = [
  { name: "messages", color: "message", on: true, kinds: ["send", "deliver", "receive", "lost", "cut", "gone", "no-socket", "overflow", "delayed", "duplicated", "corrupted", "rejected"] },
  { name: "operations", color: "operation", on: true, kinds: ["call", "return", "asks", "told"] },
  { name: "faults", color: "fault", on: true, kinds: ["fault", "fault-ends", "fault-refused", "disk-fault", "stream-fault", "damaged", "script-step", "heal", "buggify", "crash-kept"] },
  { name: "nodes", color: "node", on: true, kinds: ["boot", "crash", "exit", "ready", "panic", "property", "shown"] },
  { name: "words", color: "words", on: true, kinds: ["text", "log", "sometimes"] },
  { name: "streams", color: "stream", on: true, kinds: ["listen", "unlisten", "connect", "connected", "accept", "segment-sent", "segment", "segment-waits", "stream-read", "stream-breaks", "stream-shut", "stream-close"] },
  { name: "disk", color: "disk", on: false, kinds: ["disk", "disk-done", "blocking"] },
  { name: "timers and tasks", color: "task", on: false, kinds: [] },
];
const groupOfKind = kinds.map(kind => {
  const found = groups.findIndex(group => group.kinds.includes(kind));
  return found < 0 ? groups.length - 1 : found;
});
const groupOf = at => groupOfKind[kindOf[at]];

const kindNumber = name => kinds.indexOf(name);
const lostKinds = new Set(["lost", "cut", "gone", "no-socket", "overflow"].map(kindNumber));
const delayed = kindNumber("delayed");
const late = new Uint8Array(count);
const effectsOf = new Map();
// Arrows: from one node to another, by the events at their ends; a lost one ends before its peer.
const arrows = { from: [], to: [], lost: [] };
for (let at = 0; at < count; at++) {
  const from = cause[at];
  if (from < 0) continue;
  if (effectsOf.has(from)) effectsOf.get(from).push(at); else effectsOf.set(from, [at]);
  if (kindOf[at] === delayed) late[from] = 1;
  const lost = lostKinds.has(kindOf[at]);
  const crosses = nodeOf[from] !== nodeOf[at] && nodeOf[from] !== world && nodeOf[at] !== world;
  if (lost || crosses) {
    arrows.from.push(from);
    arrows.to.push(at);
    arrows.lost.push(lost);
  }
}
const offending = new Set(data.offending);
const focus = data.focus;
const parting = data.parting;
const pastOfFocus = new Uint8Array(count);
for (const [low, high] of data.past) pastOfFocus.fill(1, low, high);

function chainOf(at) {
  const chain = [];
  for (let next = at; next >= 0; next = cause[next]) chain.push(next);
  return chain.reverse();
}

// The first event that is not before this time.
function lowerBound(when) {
  let low = 0, high = count;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (time[middle] < when) low = middle + 1; else high = middle;
  }
  return low;
}

function seconds(ns, digits = 6) {
  return (ns / 1e9).toFixed(digits) + " s";
}
