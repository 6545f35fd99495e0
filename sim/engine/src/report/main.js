// What is picked, which window is shown, and what keys and pointers do.
const view = { from: start, to: end };
const visible = new Uint8Array(count);
const hidden = about.nodes.map(() => false);
let order = [];
let picked = -1;
let cursor = -1;
let pastOnly = false;
let planned = false;

// All that could have influenced an event: its causes, what came before on their nodes, and so on.
function pastOf(at) {
  if (at === focus) return pastOfFocus;
  const past = new Uint8Array(count);
  const before = new Int32Array(count).fill(-1);
  const last = about.nodes.map(() => -1);
  for (let next = 0; next <= at; next++) {
    before[next] = last[nodeOf[next]];
    last[nodeOf[next]] = next;
  }
  const open = [at];
  while (open.length) {
    const next = open.pop();
    if (next < 0 || past[next]) continue;
    past[next] = 1;
    open.push(cause[next], before[next]);
  }
  return past;
}

function refilter() {
  const wanted = byId("search").value.trim().toLowerCase();
  const past = pastOnly && picked >= 0 ? pastOf(picked) : null;
  order = [];
  for (let at = 0; at < count; at++) {
    const shows = groups[groupOf(at)].on && !hidden[nodeOf[at]] && (!past || past[at])
      && (!wanted || kindName(at) === wanted || textOf(at).toLowerCase().includes(wanted));
    visible[at] = shows || (at === picked && !wanted) ? 1 : 0;
    if (visible[at]) order.push(at);
  }
  density = null;
  redraw();
}

function togglePast() {
  pastOnly = !pastOnly && picked >= 0;
  byId("past").setAttribute("aria-pressed", String(pastOnly));
  refilter();
}

function redraw() {
  if (planned) return;
  planned = true;
  requestAnimationFrame(drawNow);
}

function drawNow() {
  planned = false;
  const drawn = drawDiagram();
  drawOverview();
  showChain();
  showList();
  showState();
  const told = document.body.dataset;
  told.events = count;
  told.shown = order.length;
  told.marks = drawn.marks;
  told.lines = drawn.lines;
  told.from = Math.round(view.from);
  told.to = Math.round(view.to);
  told.picked = picked < 0 ? "" : ids[picked];
  told.kind = picked < 0 ? "" : kindName(picked);
}

function look(from, to) {
  const span = Math.min(end - start, Math.max(1000, to - from));
  const left = Math.max(start, Math.min(end - span, from));
  view.from = left;
  view.to = left + span;
  redraw();
}

function zoom(times, around = (view.from + view.to) / 2) {
  look(around - (around - view.from) * times, around + (view.to - around) * times);
}

function pick(at, center = true) {
  if (at < 0 || at >= count) return;
  picked = cursor = at;
  const span = view.to - view.from;
  const inside = time[at] >= view.from + span * .05 && time[at] <= view.to - span * .05;
  if (center && !inside) look(time[at] - span / 2, time[at] + span / 2);
  history.replaceState(null, "", "#event=" + ids[at]);
  if (pastOnly || !visible[at]) refilter();
  redraw();
}

function toFailure() {
  if (focus < 0) return;
  const chain = chainOf(focus);
  const marked = [...offending].map(at => time[at]);
  const since = Math.min(...marked, time[chain[Math.max(0, chain.length - 12)]]);
  const until = Math.max(...marked, time[focus]);
  const margin = Math.max(1e6, (until - since) * .08);
  picked = cursor = focus;
  look(since - margin, until + margin);
  pick(focus, false);
}

function toParting() {
  if (parting < 0) return;
  const around = Math.max(2e6, (end - start) * .01);
  look(time[parting] - around, time[parting] + around);
  pick(parting, false);
}

function step(by, sameNode) {
  const node = picked < 0 ? -1 : nodeOf[picked];
  let place = lastUpTo(order, cursor);
  if (by > 0 || order[place] === cursor) place += by;
  while (sameNode && order[place] !== undefined && nodeOf[order[place]] !== node) place += by;
  if (order[place] !== undefined) pick(order[place]);
}

function nearest(x, y) {
  const wide = canvas.clientWidth;
  const when = view.from + x / wide * (view.to - view.from);
  const reach = 14 / wide * (view.to - view.from);
  let [best, least] = [-1, Infinity];
  for (let at = lowerBound(when - reach); at < count && time[at] <= when + reach; at++) {
    if (!visible[at]) continue;
    const away = Math.hypot(xOf(time[at], wide) - x, laneOf(nodeOf[at]) - y) - (offending.has(at) ? 4 : 0);
    if (away < least) [best, least] = [at, away];
  }
  return least < 18 ? best : -1;
}

const keys = [
  ["f", "the failure", toFailure],
  ["d", "where the run parts from the other one", toParting],
  ["0", "the whole run", () => look(start, end)],
  ["ArrowRight", "the next event", event => step(1, event.shiftKey)],
  ["ArrowLeft", "the event before; with Shift, of the same node", event => step(-1, event.shiftKey)],
  ["ArrowUp", "what caused it", () => picked >= 0 && cause[picked] >= 0 && pick(cause[picked])],
  ["ArrowDown", "what it caused first", () => effectsOf.has(picked) && pick(effectsOf.get(picked)[0])],
  ["+", "closer", () => zoom(.5, picked >= 0 ? time[picked] : undefined)],
  ["-", "farther", () => zoom(2, picked >= 0 ? time[picked] : undefined)],
  ["PageUp", "earlier", () => look(view.from - (view.to - view.from) * .8, view.to - (view.to - view.from) * .8)],
  ["PageDown", "later", () => look(view.from + (view.to - view.from) * .8, view.to + (view.to - view.from) * .8)],
  ["Home", "the first event", () => order.length && pick(order[0])],
  ["End", "the last event", () => order.length && pick(order[order.length - 1])],
  ["c", "only what led to the picked event", togglePast],
  ["/", "find", () => byId("search").focus()],
  ["t", "dark or light", () => toggleTheme()],
  ["?", "these keys", () => byId("help").showModal()],
];

function toggleTheme() {
  const now = document.documentElement.dataset.theme;
  setTheme(now === "dark" ? "light" : "dark");
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  readPalette();
  redraw();
}

function listen() {
  document.addEventListener("keydown", event => {
    if (event.target.id === "search") {
      if (event.key === "Escape" || event.key === "Enter") event.target.blur();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || byId("help").open) return;
    const key = event.key === "=" ? "+" : event.key;
    const known = keys.find(([name]) => name === key);
    if (!known) return;
    event.preventDefault();
    known[2](event);
  });
  const when = (event, box) => event.offsetX / box.clientWidth;
  canvas.addEventListener("wheel", event => {
    event.preventDefault();
    const span = view.to - view.from;
    if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      const by = (event.deltaX || event.deltaY) / 800 * span;
      look(view.from + by, view.to + by);
    } else {
      zoom(Math.exp(event.deltaY / 400), view.from + when(event, canvas) * span);
    }
  }, { passive: false });
  let drag = null;
  canvas.addEventListener("pointerdown", event => {
    drag = { x: event.offsetX, from: view.from, to: view.to, moved: false };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", event => {
    if (drag) {
      const by = (event.offsetX - drag.x) / canvas.clientWidth * (drag.to - drag.from);
      drag.moved ||= Math.abs(event.offsetX - drag.x) > 3;
      if (drag.moved) look(drag.from - by, drag.to - by);
      return;
    }
    const at = nearest(event.offsetX, event.offsetY);
    const tip = byId("tip");
    tip.hidden = at < 0;
    if (at >= 0) {
      tip.textContent = `${seconds(time[at])} ${about.nodes[nodeOf[at]]} ${textOf(at)}`;
      const right = event.offsetX > canvas.clientWidth / 2;
      tip.style.left = right ? "" : event.offsetX + 14 + "px";
      tip.style.right = right ? canvas.clientWidth - event.offsetX + 14 + "px" : "";
      tip.style.top = Math.max(4, event.offsetY - 34) + "px";
    }
  });
  canvas.addEventListener("pointerup", event => {
    if (drag && !drag.moved) {
      const at = nearest(event.offsetX, event.offsetY);
      if (at >= 0) pick(at, false);
      else {
        cursor = lowerBound(view.from + when(event, canvas) * (view.to - view.from)) - 1;
        redraw();
      }
    }
    drag = null;
  });
  canvas.addEventListener("pointerleave", () => { byId("tip").hidden = true; });
  const scrub = event => {
    if (event.buttons !== 1) return;
    const span = view.to - view.from;
    const middle = start + when(event, overview) * (end - start);
    look(middle - span / 2, middle + span / 2);
    cursor = lowerBound(Math.max(start, Math.min(end, middle))) - 1;
  };
  overview.addEventListener("pointerdown", scrub);
  overview.addEventListener("pointermove", scrub);
  overview.addEventListener("wheel", event => {
    event.preventDefault();
    zoom(Math.exp(event.deltaY / 400), start + when(event, overview) * (end - start));
  }, { passive: false });
  for (const list of ["chain", "list"]) {
    byId(list).addEventListener("click", event => {
      const item = event.target.closest("li[data-at]");
      if (item) pick(Number(item.dataset.at));
    });
  }
  byId("to-failure").addEventListener("click", toFailure);
  byId("to-parting").addEventListener("click", toParting);
  byId("fit").addEventListener("click", () => look(start, end));
  byId("theme").addEventListener("click", toggleTheme);
  byId("help-open").addEventListener("click", () => byId("help").showModal());
  byId("copy").addEventListener("click", () => {
    navigator.clipboard?.writeText(byId("command").textContent);
    byId("copy").textContent = "Copied";
  });
  window.addEventListener("resize", () => { density = null; redraw(); });
  window.addEventListener("hashchange", fromHash);
}

function fromHash() {
  const asked = /^#event=(\d+)$/.exec(location.hash);
  if (asked) pick(ids.indexOf(Number(asked[1])));
  return Boolean(asked);
}

document.body.dataset.errors = "";
window.addEventListener("error", event => { document.body.dataset.errors += event.message + "; "; });
for (const [key, words] of keys) byId("keys").append(make("dt", key), make("dd", words));
const limits = ["Down nodes are grey, faults amber. Dashed amber arrows are late messages, red ones are lost."];
if (about.left_out) limits.push(`The first ${about.left_out} events of the run are left out.`);
byId("limits").textContent = limits.join(" ");
byId("history-box").classList.toggle("none", !document.querySelector("#history-box svg"));
byId("to-failure").hidden = !about.failure;
byId("to-parting").hidden = parting < 0;
makeFilters();
makeLanes();
listen();
setTheme(matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
refilter();
if (about.failure && !location.hash) toFailure();
else if (!fromHash()) cursor = count - 1;
drawNow();
