// The diagram: only what is within the window is drawn.
const canvas = document.getElementById("canvas");
const overview = document.getElementById("overview");
const stage = document.getElementById("stage");
const laneHeight = Math.max(34, Math.min(64, Math.round(440 / (world + 1))));
const ruler = 24;
const laneOf = node => ruler + laneHeight * (node + .5);
const height = ruler + laneHeight * (world + 1) + 6;
let palette = {};

function readPalette() {
  const style = getComputedStyle(document.documentElement);
  palette = {};
  for (const name of ["paper", "line", "faint", "text", "dim", "accent", "bad", "message", "late", "lost", "operation", "node", "fault", "disk", "stream", "task", "words", "band", "down", "shade", "pick", "chain"]) {
    palette[name] = style.getPropertyValue("--" + name).trim();
  }
}

function fitted(canvas, tall) {
  const ratio = window.devicePixelRatio || 1;
  const wide = canvas.clientWidth;
  if (canvas.width !== Math.round(wide * ratio) || canvas.height !== Math.round(tall * ratio)) {
    canvas.width = Math.round(wide * ratio);
    canvas.height = Math.round(tall * ratio);
    canvas.style.height = tall + "px";
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, wide, tall);
  return [pen, wide];
}

const xOf = (when, wide) => (when - view.from) / (view.to - view.from) * wide;

function niceStep(span) {
  const power = 10 ** Math.floor(Math.log10(span));
  return [1, 2, 5, 10].map(times => times * power).find(step => span / step <= 1) ?? power * 10;
}

function drawRuler(pen, wide) {
  const step = niceStep((view.to - view.from) / 8);
  const digits = Math.max(0, Math.min(9, 9 - Math.floor(Math.log10(step))));
  pen.font = "11px system-ui, sans-serif";
  pen.fillStyle = palette.dim;
  pen.strokeStyle = palette.faint;
  pen.lineWidth = 1;
  for (let tick = Math.ceil(view.from / step) * step; tick <= view.to; tick += step) {
    const x = Math.round(xOf(tick, wide)) + .5;
    pen.beginPath();
    pen.moveTo(x, ruler - 6);
    pen.lineTo(x, height);
    pen.stroke();
    pen.fillText(seconds(tick, digits), x + 4, 13);
  }
}

function drawBands(pen, wide) {
  const box = (from, to, node, color) => {
    const left = Math.max(0, xOf(from, wide));
    const right = Math.min(wide, xOf(to, wide));
    if (right < 0 || left > wide) return null;
    pen.fillStyle = color;
    pen.fillRect(left, laneOf(node) - laneHeight / 2 + 1, Math.max(2, right - left), laneHeight - 2);
    return [left, right];
  };
  pen.font = "10.5px system-ui, sans-serif";
  for (const { node, from, to } of downs) {
    const drawn = box(from, to, node, palette.down);
    if (drawn && drawn[1] - drawn[0] > 40) {
      pen.fillStyle = palette.dim;
      pen.fillText("down", drawn[0] + 5, laneOf(node) + laneHeight / 2 - 6);
    }
  }
  for (const band of bands) {
    for (const node of band.nodes.length ? band.nodes : [world]) {
      const drawn = box(band.from, band.to, node, palette.band);
      if (drawn && drawn[1] - drawn[0] > 46) {
        pen.save();
        pen.beginPath();
        pen.rect(drawn[0], 0, drawn[1] - drawn[0] - 2, height);
        pen.clip();
        pen.fillStyle = palette.fault;
        pen.fillText(band.name, drawn[0] + 4, laneOf(node) - laneHeight / 2 + 12);
        pen.restore();
      }
    }
  }
}

function arrowHead(pen, x1, y1, x2, y2) {
  const angle = Math.atan2(y2 - y1, x2 - x1);
  pen.beginPath();
  pen.moveTo(x2, y2);
  pen.lineTo(x2 - 7 * Math.cos(angle - .35), y2 - 7 * Math.sin(angle - .35));
  pen.lineTo(x2 - 7 * Math.cos(angle + .35), y2 - 7 * Math.sin(angle + .35));
  pen.fill();
}

function drawArrow(pen, wide, from, to, lost, strong) {
  const [x1, y1] = [xOf(time[from], wide), laneOf(nodeOf[from])];
  let [x2, y2] = [xOf(time[to], wide), laneOf(nodeOf[to])];
  const color = strong ? palette.chain : lost ? palette.lost : late[from] ? palette.late : palette.message;
  pen.strokeStyle = pen.fillStyle = color;
  pen.lineWidth = strong ? 2.2 : lost || late[from] ? 1.3 : 1;
  pen.setLineDash(lost ? [4, 3] : late[from] ? [7, 3] : []);
  if (lost) {
    const peer = nodeOf[to] === nodeOf[from] ? peerOf(from) : nodeOf[to];
    y2 = y1 + (laneOf(peer < 0 ? nodeOf[to] : peer) - y1) * .62;
    x2 = Math.max(x2, x1 + 9);
  }
  pen.beginPath();
  pen.moveTo(x1, y1);
  pen.lineTo(x2, y2);
  pen.stroke();
  pen.setLineDash([]);
  if (lost) {
    pen.beginPath();
    pen.moveTo(x2 - 4, y2 - 4); pen.lineTo(x2 + 4, y2 + 4);
    pen.moveTo(x2 - 4, y2 + 4); pen.lineTo(x2 + 4, y2 - 4);
    pen.stroke();
  } else if (Math.abs(x2 - x1) + Math.abs(y2 - y1) > 10) {
    arrowHead(pen, x1, y1, x2, y2);
  }
}

function drawArrows(pen, wide, chain) {
  const seen = new Set();
  let drawn = 0;
  for (let at = 0; at < arrows.from.length; at++) {
    const from = arrows.from[at], to = arrows.to[at];
    if (time[to] < view.from || time[from] > view.to) continue;
    if (!visible[from] || !visible[to]) continue;
    const name = ((Math.round(xOf(time[from], wide)) * 8192 + Math.round(xOf(time[to], wide))) * 1024 + nodeOf[from]) * 1024 + nodeOf[to];
    if (seen.has(name)) continue;
    seen.add(name);
    pen.globalAlpha = picked >= 0 && chain.size > 1 && !chain.has(to) ? .55 : 1;
    drawArrow(pen, wide, from, to, arrows.lost[at], false);
    drawn++;
  }
  pen.globalAlpha = 1;
  return drawn;
}

function mark(pen, x, y, at) {
  const kind = kindName(at);
  const color = palette[groups[groupOf(at)].color];
  pen.fillStyle = pen.strokeStyle = color;
  if (offending.has(at) || kind === "property" || kind === "panic") {
    pen.fillStyle = palette.bad;
    pen.beginPath();
    pen.arc(x, y, 7, 0, 7);
    pen.fill();
    pen.fillStyle = palette.paper;
    pen.font = "bold 10px system-ui, sans-serif";
    pen.fillText("!", x - 1.8, y + 3.6);
  } else if (kind === "crash") {
    pen.lineWidth = 2.5;
    pen.strokeStyle = palette.bad;
    pen.beginPath();
    pen.moveTo(x - 5, y - 5); pen.lineTo(x + 5, y + 5);
    pen.moveTo(x - 5, y + 5); pen.lineTo(x + 5, y - 5);
    pen.stroke();
  } else if (kind === "boot") {
    pen.beginPath();
    pen.moveTo(x - 4, y - 6); pen.lineTo(x + 6, y); pen.lineTo(x - 4, y + 6);
    pen.fill();
  } else if (kind === "call" || kind === "return") {
    pen.beginPath();
    pen.moveTo(x, y - 6); pen.lineTo(x + 6, y); pen.lineTo(x, y + 6); pen.lineTo(x - 6, y);
    if (kind === "call") pen.fill(); else { pen.fillStyle = palette.paper; pen.fill(); pen.lineWidth = 2; pen.stroke(); }
  } else if (groups[groupOf(at)].color === "task" || groups[groupOf(at)].color === "disk") {
    pen.fillRect(x - .75, y - 5, 1.5, 10);
  } else {
    pen.beginPath();
    pen.arc(x, y, 2.6, 0, 7);
    pen.fill();
  }
}

function drawMarks(pen, wide) {
  const seen = new Set();
  let drawn = 0;
  const important = [];
  for (let at = lowerBound(view.from); at < count && time[at] <= view.to; at++) {
    if (!visible[at]) continue;
    const x = xOf(time[at], wide);
    if (offending.has(at) || ["crash", "boot", "call", "return", "property", "panic"].includes(kindName(at))) {
      important.push(at);
      continue;
    }
    const name = (Math.round(x) * 1024 + nodeOf[at]) * 16 + groupOf(at);
    if (seen.has(name)) continue;
    seen.add(name);
    mark(pen, x, laneOf(nodeOf[at]), at);
    drawn++;
  }
  important.sort((a, b) => offending.has(a) - offending.has(b));
  for (const at of important) mark(pen, xOf(time[at], wide), laneOf(nodeOf[at]), at);
  return drawn + important.length;
}

function drawLabels(pen, wide) {
  // What was asked and told, where there is room for it.
  pen.font = "11px system-ui, sans-serif";
  const free = about.nodes.map(() => -Infinity);
  for (let at = lowerBound(view.from); at < count && time[at] <= view.to; at++) {
    const kind = kindName(at);
    if (!visible[at] || (kind !== "asks" && kind !== "told")) continue;
    const x = xOf(time[at], wide);
    if (x < free[nodeOf[at]]) continue;
    const text = textOf(at).slice(0, 44);
    pen.fillStyle = offending.has(cause[at]) ? palette.bad : palette.operation;
    pen.fillText(text, x + 8, laneOf(nodeOf[at]) - 9);
    free[nodeOf[at]] = x + 16 + pen.measureText(text).width;
  }
}

function drawPicked(pen, wide) {
  if (picked < 0) return;
  const x = xOf(time[picked], wide);
  pen.strokeStyle = palette.chain;
  pen.lineWidth = 1;
  pen.setLineDash([2, 3]);
  pen.beginPath();
  pen.moveTo(x, ruler - 4); pen.lineTo(x, height);
  pen.stroke();
  pen.setLineDash([]);
  const chain = chainOf(picked);
  for (let at = 1; at < chain.length; at++) {
    const [from, to] = [chain[at - 1], chain[at]];
    if (time[to] < view.from || time[from] > view.to) continue;
    drawArrow(pen, wide, from, to, false, true);
  }
  pen.lineWidth = 2;
  pen.strokeStyle = palette.pick;
  pen.beginPath();
  pen.arc(x, laneOf(nodeOf[picked]), 9, 0, 7);
  pen.stroke();
}

function drawDiagram() {
  const [pen, wide] = fitted(canvas, height);
  drawRuler(pen, wide);
  drawBands(pen, wide);
  pen.strokeStyle = palette.line;
  pen.lineWidth = 1;
  for (let node = 0; node <= world; node++) {
    const y = Math.round(laneOf(node)) + .5;
    pen.beginPath();
    pen.moveTo(0, y); pen.lineTo(wide, y);
    pen.stroke();
  }
  const chain = new Set(picked >= 0 ? chainOf(picked) : []);
  const lines = drawArrows(pen, wide, chain);
  const marks = drawMarks(pen, wide);
  drawLabels(pen, wide);
  drawPicked(pen, wide);
  return { lines, marks };
}

let density = null;

function drawOverview() {
  const tall = 56;
  const [pen, wide] = fitted(overview, tall);
  const x = when => (when - start) / (end - start) * wide;
  const columns = Math.max(1, Math.floor(wide / 2));
  if (!density || density.length !== columns) {
    density = new Uint32Array(columns);
    for (let at = 0; at < count; at++) {
      if (visible[at]) density[Math.min(columns - 1, Math.floor((time[at] - start) / (end - start) * columns))]++;
    }
  }
  for (const band of bands) {
    pen.fillStyle = palette.band;
    pen.fillRect(x(band.from), 0, Math.max(1, x(band.to) - x(band.from)), tall);
  }
  const most = Math.log1p(density.reduce((a, b) => Math.max(a, b), 1));
  pen.fillStyle = palette.message;
  density.forEach((many, at) => {
    const bar = Math.log1p(many) / most * (tall - 12);
    if (many) pen.fillRect(at * wide / columns, tall - bar, wide / columns - .4, bar);
  });
  pen.fillStyle = palette.bad;
  for (const at of offending) pen.fillRect(x(time[at]) - 1, 0, 2, tall);
  if (about.failure) pen.fillRect(x(about.failure.at_ns) - 1, 0, 2, 10);
  pen.fillStyle = palette.late;
  if (parting >= 0) pen.fillRect(x(time[parting]) - 1, 0, 2, tall);
  const [left, right] = [x(view.from), x(view.to)];
  pen.fillStyle = palette.shade;
  pen.fillRect(0, 0, left, tall);
  pen.fillRect(right, 0, wide - right, tall);
  pen.strokeStyle = palette.accent;
  pen.lineWidth = 1.5;
  pen.strokeRect(left + .75, .75, Math.max(3, right - left - 1.5), tall - 1.5);
}
