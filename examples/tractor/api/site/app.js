// The fleet, one sensor's windows, and the orders: asked for again and again while somebody looks.

const EVERY_MS = 1500;
const PLOT = { height: 240, left: 44, right: 12, top: 16, bottom: 30 };
const HOUR_S = 3600;
const byId = id => document.getElementById(id);
const chosen = { machine: null, part: null };
let parts = {};

async function ask(path) {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(`${path} answered ${answer.status}`);
  return answer.json();
}

async function refresh() {
  if (document.hidden) return;
  try {
    const [fleet, { orders }] = await Promise.all([ask("fleet"), ask("orders")]);
    parts = fleet.parts;
    show(fleet.machines, orders);
    if (chosen.machine) await showSensor();
  } catch (error) {
    tell(`No answer. Trying again.\n${error.message}`, true);
  }
}

function tell(text, isLost = false) {
  const state = byId("state");
  if (state.textContent !== text) state.textContent = text;
  state.classList.toggle("lost", isLost);
}

function show(machines, orders) {
  byId("empty").hidden = machines.length > 0;
  byId("busy").hidden = machines.length === 0;
  if (!machines.length) return tell("Waiting for readings.");
  const open = orders.filter(order => order.state !== "fitted").length;
  const at = Math.max(...machines.map(machine => machine.at));
  tell(`${machines.length} machines, ${open} open order${open === 1 ? "" : "s"}\n${moment(at)} on the fields`);
  if (!chosen.machine) Object.assign(chosen, mostWorn(machines));
  showFleet(machines, orders);
  showOrders(orders);
}

function mostWorn(machines) {
  const all = machines.flatMap(({ machine, parts }) =>
    Object.entries(parts).map(([part, { over, share }]) => ({ machine, part, worn: share === null ? -1 : over * 10 + share })));
  const { machine, part, worn } = all.reduce((a, b) => (b.worn > a.worn ? b : a));
  return worn < 0 ? {} : { machine, part };
}

function showFleet(machines, orders) {
  const columns = [element("td"), ...Object.values(parts).map(part => element("th", part.label, { scope: "col" }))];
  if (!byId("columns").children.length) byId("columns").replaceChildren(...columns);
  const open = new Set(orders.filter(one => one.state !== "fitted").map(one => one.part));
  const rows = machines.map(one => [one.machine, row(one, open)]);
  update(byId("rows"), rows, "tr");
}

function row({ machine, parts: states }, open) {
  const cells = Object.entries(states).map(([name, state]) => cell(machine, name, state, open));
  return [element("th", machine, { scope: "row" }), ...cells];
}

function cell(machine, name, { share, installation }, open) {
  const percent = share === null ? null : Math.max(0, Math.round(share * 100));
  const is = percent >= 100 ? "over" : percent >= 60 ? "wearing" : "sound";
  const isOrdered = open.has(`${machine}#${name}`);
  const button = element("button", `${isOrdered ? "▲ " : ""}${percent === null ? "–" : `${percent} %`}`, {
    class: is, type: "button",
    "aria-pressed": String(machine === chosen.machine && name === chosen.part),
    "aria-label": `${machine}, ${parts[name].label} ${installation}: ${percent ?? "no"} % of its limit${isOrdered ? ", ordered" : ""}`,
    "data-key": `${machine}/${name}`,
  });
  button.style.setProperty("--share", `${Math.min(percent ?? 0, 100)}%`);
  button.onclick = () => { Object.assign(chosen, { machine, part: name }); refresh(); };
  const td = element("td");
  td.append(button);
  return td;
}

function showOrders(orders) {
  byId("orders-count").textContent = orders.length ? `(${orders.length})` : "";
  if (!orders.length) {
    byId("order-list").replaceChildren(element("li", "None yet: no part was over its limit for four windows."));
    return;
  }
  const entries = orders.map(order => {
    const part = parts[order.name];
    const about = element("small", `${moment(order.ordered_at)} · ${order.deviation.toFixed(1)} ${part.unit} too high`);
    const title = element("span", `${part.label}, ${order.machine}`);
    return [order.id, [title, element("span", order.state, { class: `tag ${order.state}` }), about]];
  });
  update(byId("order-list"), entries, "li");
}

// Rewrites only what changed, so that focus and what a screen reader reads stay where they are.
function update(parent, entries, tag) {
  const known = new Map([...parent.children].map(child => [child.dataset.key, child]));
  entries.forEach(([key, content], index) => {
    const child = known.get(key) ?? element(tag, "", { "data-key": key });
    known.delete(key);
    const html = content.map(one => one.outerHTML).join("");
    if (child.dataset.html !== html) {
      const focused = child.contains(document.activeElement) && document.activeElement.dataset.key;
      child.replaceChildren(...content);
      child.dataset.html = html;
      if (focused) child.querySelector(`[data-key="${focused}"]`)?.focus();
    }
    if (parent.children[index] !== child) parent.insertBefore(child, parent.children[index] ?? null);
  });
  known.forEach(child => child.remove());
}

async function showSensor() {
  const { machine, part } = chosen;
  const { windows } = await ask(`machines/${machine}/parts/${part}`);
  const about = parts[part];
  byId("chart-title").textContent = `${about.label} of ${machine}`;
  byId("chart-note").textContent =
    `${about.sensor}, ${about.unit} above what it should be at this load; each point is the median of five minutes`;
  byId("plot").innerHTML = windows.length > 1 ? plot(windows, about) : "<p>Too few readings yet.</p>";
}

function plot(windows, { limit, unit, label }) {
  const { height, left, right, top, bottom } = PLOT;
  const width = Math.max(byId("plot").clientWidth, 260);
  const first = windows[0].start, last = Math.max(windows.at(-1).start, first + HOUR_S);
  const highest = Math.max(limit * 1.3, ...windows.map(one => one.middle * 1.1));
  const lowest = Math.min(-limit * 0.15, ...windows.map(one => one.middle));
  const x = at => left + (at - first) / (last - first) * (width - left - right);
  const y = value => top + (highest - value) / (highest - lowest) * (height - top - bottom);
  const lines = [`<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${label}: now ${windows.at(-1).middle} ${unit}, limit ${limit} ${unit}">`];
  const step = niceStep(highest / 4);
  for (let value = 0; value <= highest; value += step) {
    lines.push(`<line class="grid" x1="${left}" x2="${width - right}" y1="${y(value)}" y2="${y(value)}"/>`,
      `<text x="${left - 8}" y="${y(value) + 4}" text-anchor="end">${+value.toFixed(2)}</text>`);
  }
  const every = HOUR_S * Math.max(1, Math.ceil((last - first) / HOUR_S / (width / 75)));
  for (let at = Math.ceil(first / every) * every; at <= last; at += every) {
    lines.push(`<text x="${x(at)}" y="${height - 8}" text-anchor="middle">${clock(at)}</text>`);
  }
  lines.push(`<text x="${left}" y="${top - 5}">${unit}</text>`,
    `<line class="limit" x1="${left}" x2="${width - right}" y1="${y(limit)}" y2="${y(limit)}"/>`,
    `<text class="limit" x="${left + 6}" y="${y(limit) - 6}">limit ${limit} ${unit}${width > 500 ? ": four windows above it make an order" : ""}</text>`);
  for (const [installation, some] of grouped(windows)) {
    if (some[0] !== windows[0]) {
      lines.push(`<line class="fitted" x1="${x(some[0].start)}" x2="${x(some[0].start)}" y1="${top}" y2="${height - bottom}"/>`,
        `<text x="${x(some[0].start) + 4}" y="${height - bottom - 6}">part ${installation} fitted</text>`);
    }
    lines.push(`<polyline class="curve" points="${some.map(one => `${x(one.start).toFixed(1)},${y(one.middle).toFixed(1)}`).join(" ")}"/>`);
  }
  const now = windows.at(-1);
  lines.push(`<circle class="last" r="4" cx="${x(now.start)}" cy="${y(now.middle)}"/></svg>`);
  return lines.join("");
}

function grouped(windows) {
  const groups = new Map();
  for (const one of windows) groups.set(one.installation, [...(groups.get(one.installation) ?? []), one]);
  return groups;
}

function niceStep(rough) {
  const power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].find(factor => factor * power >= rough * 0.7) * power;
}

function element(name, text = "", attributes = {}) {
  const made = document.createElement(name);
  made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

const format = (at, options) => new Date(at * 1000).toLocaleString("en-GB", { timeZone: "UTC", ...options });
const clock = at => format(at, { hour: "2-digit", minute: "2-digit" });
const moment = at => format(at, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });

document.addEventListener("visibilitychange", refresh);
addEventListener("resize", refresh);
(async function forever() {
  await refresh();
  setTimeout(forever, EVERY_MS);
})();
