// What stands beside the diagram. Everything from the trace goes in as text.
const byId = id => document.getElementById(id);
const make = (name, text, className) => {
  const element = document.createElement(name);
  if (text !== undefined) element.textContent = text;
  if (className) element.className = className;
  return element;
};

function row(at, hop) {
  const item = make("li");
  item.append(make("time", seconds(time[at])), make("b", about.nodes[nodeOf[at]]), make("span", textOf(at)));
  item.title = `${kindName(at)}, event ${ids[at]}: ${textOf(at)}`;
  if (at === picked) item.classList.add("picked");
  if (offending.has(at) || kindName(at) === "property") item.classList.add("bad");
  if (hop) item.classList.add("hop");
  if (groupOf(at) === groups.length - 1) item.classList.add("small");
  item.dataset.at = at;
  return item;
}

function showChain() {
  const list = byId("chain");
  list.replaceChildren();
  if (picked < 0) {
    byId("selected").textContent = about.failure ? "Click an event, or press f to see the failure." : "Click an event.";
    byId("chain-count").textContent = "";
    return;
  }
  const chain = chainOf(picked);
  byId("selected").textContent =
    `${seconds(time[picked])} ${about.nodes[nodeOf[picked]]} ${textOf(picked)}`;
  byId("chain-count").textContent = `${chain.length - 1} causes, the latest first`;
  // The newest cause first: it is the answer, the others are why it was so.
  const shownMost = 200;
  for (let at = chain.length - 1; at >= Math.max(0, chain.length - shownMost); at--) {
    const hop = at + 1 < chain.length && nodeOf[chain[at]] !== nodeOf[chain[at + 1]];
    list.append(row(chain[at], hop));
  }
  if (chain.length > shownMost) list.append(make("li", `and ${chain.length - shownMost} before`));
}

function showList() {
  const list = byId("list");
  const place = Math.max(0, lastUpTo(order, cursor));
  const [low, high] = [Math.max(0, place - 60), Math.min(order.length, place + 61)];
  const items = [];
  for (let at = low; at < high; at++) items.push(row(order[at], false));
  list.replaceChildren(...items);
  byId("list-count").textContent = `${order.length} of ${count} pass the filters`;
  const near = items[place - low];
  if (near) list.scrollTop = near.offsetTop - list.offsetTop - list.clientHeight / 2;
}

function showState() {
  byId("state-time").textContent = seconds(cursor < 0 ? 0 : time[cursor]);
  const rows = [];
  for (let node = 0; node < world; node++) {
    const state = stateOf(node, cursor);
    const line = make("tr");
    const cell = make("td");
    cell.append(make("span", state.status, state.up ? "up" : "down"));
    if (state.faults.length) cell.append(make("div", state.faults.join(", "), "struck"));
    const words = make("td");
    for (const text of state.shown) words.append(make("div", text));
    if (state.said) words.append(make("div", state.said, "dim"));
    line.append(make("td", about.nodes[node]), cell, words);
    rows.push(line);
  }
  byId("state").tBodies[0].replaceChildren(...rows);
}

function makeFilters() {
  const box = byId("filters");
  groups.forEach((group, number) => {
    const many = kindOf.reduce((sum, kind) => sum + (groupOfKind[kind] === number), 0);
    if (!many) return;
    const chip = make("button", undefined, "chip");
    const dot = make("i");
    dot.style.setProperty("--dot", `var(--${group.color})`);
    chip.append(dot, make("span", group.name), make("span", String(many), "dim"));
    chip.setAttribute("aria-pressed", String(group.on));
    chip.addEventListener("click", () => {
      group.on = !group.on;
      chip.setAttribute("aria-pressed", String(group.on));
      refilter();
    });
    box.append(chip);
  });
  const past = make("button", "only what led here", "chip");
  past.id = "past";
  past.title = "Only events that could have influenced the one that is picked (c)";
  past.setAttribute("aria-pressed", "false");
  past.addEventListener("click", togglePast);
  const search = make("input");
  search.id = "search";
  search.type = "search";
  search.placeholder = "find in events  /";
  search.addEventListener("input", () => refilter());
  box.append(past, search);
}

function makeLanes() {
  const box = byId("lanes");
  about.nodes.forEach((name, node) => {
    const lane = make("button", name, "lane-name");
    lane.style.height = laneHeight + "px";
    lane.title = `Hide or show ${name}`;
    lane.setAttribute("aria-pressed", "true");
    lane.addEventListener("click", () => {
      hidden[node] = !hidden[node];
      lane.setAttribute("aria-pressed", String(!hidden[node]));
      refilter();
    });
    box.append(lane);
  });
}
