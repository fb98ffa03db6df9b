// Asks /api/report every two seconds while somebody looks; the report itself comes only when new.
"use strict";

const INTERVAL_MS = 2000;
const SVG = "http://www.w3.org/2000/svg";
const $ = (id) => document.getElementById(id);
const euros = new Intl.NumberFormat("en", { style: "currency", currency: "EUR" });
const whole = new Intl.NumberFormat("en", { style: "currency", currency: "EUR", maximumFractionDigits: 0 });
const number = new Intl.NumberFormat("en");
const shortDay = new Intl.DateTimeFormat("en", { day: "numeric", month: "short", timeZone: "UTC" });
const clock = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });
const money = (cents) => euros.format(cents / 100);
const kinds = { text: String, count: (value) => number.format(value), cents: money };

let shown = null; // the report on the page

async function ask(path) {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(`${path} answered ${answer.status}`);
  return answer.json();
}

async function look() {
  if (document.hidden) return;
  try {
    const since = shown ? encodeURIComponent(shown.generated_at) : "";
    const answer = await ask(`api/report?since=${since}`);
    $("problem").hidden = true;
    if (answer.report) {
      shown = answer.report;
      await draw();
    }
    tell(answer);
  } catch (error) {
    $("problem").textContent = `The API does not answer (${error.message}). Asking again…`;
    $("problem").hidden = false;
  }
}

function tell(answer) {
  const waiting = answer.pending_days.length;
  $("busy").hidden = !answer.has_report;
  $("empty").hidden = answer.has_report;
  if (!answer.has_report) return guide(waiting);
  $("changed").textContent = answer.changed_at ? clock.format(new Date(answer.changed_at)) : "–";
  $("rolled").textContent = clock.format(new Date(shown.generated_at));
  $("pending").textContent = waiting ? `changes of ${days(waiting)}` : "nothing";
  check(waiting);
}

const days = (count) => (count === 1 ? "1 day" : `${count} days`);

function guide(waiting) {
  $("empty-title").textContent = waiting ? "The first night is still to come" : "No orders yet";
  $("empty-text").textContent = waiting
    ? `Changes of ${days(waiting)} lie in the lake. Start the nightly run now:`
    : "Let the shops sell something, then start the nightly run:";
  const credentials = 'eval "$(cloudlet env)"    # or your AWS credentials';
  const command = "python examples/warehouse/simulate.py";
  const commands = waiting ? [] : [credentials, command];
  $("empty-command").textContent = [...commands, `${command} --transform`].join("\n");
}

function check(waiting) {
  const { source, warehouse, unreadable, is_equal: isEqual } = shown.check;
  $("check").className = `note ${isEqual ? "" : waiting ? "wait" : "bad"}`;
  $("check-title").textContent = isEqual
    ? "✓ The numbers reconcile"
    : `The warehouse is ${money(Math.abs(source.amount_cents - warehouse.amount_cents))} off`;
  const then = isEqual
    ? "At the last roll-up, Orders and the facts had the same sums."
    : "At the last roll-up, Orders had changes that the facts did not have yet.";
  const since = waiting ? ` Since then ${days(waiting)} changed: the next run brings them in.` : "";
  const apart = unreadable ? ` Items of Orders that are no orders: ${unreadable}; see the failures queue.` : "";
  $("check-text").textContent = then + apart + since;
  fill($("check-rows"), [["Orders (DynamoDB)", source], ["fact_sales (S3)", warehouse]].map(row));
}

function row([label, sums]) {
  const cells = [number.format(sums.orders), number.format(sums.lines), money(sums.amount_cents)];
  const head = element("th", { scope: "row" }, label);
  return element("tr", {}, head, ...cells.map((text) => element("td", {}, text)));
}

function element(name, attributes, ...children) {
  return put(document.createElement(name), attributes, children);
}

function shape(name, attributes, ...children) {
  return put(document.createElementNS(SVG, name), attributes, children);
}

function put(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

const fill = (parent, children) => parent.replaceChildren(...children);

async function draw() {
  $("busy").hidden = false; // charts ask how wide they are
  tiles(shown.totals);
  timeline();
  bars($("stores"), shown.stores, "store");
  bars($("categories"), shown.categories, "category");
  bars($("products"), shown.products, "product");
  months();
  await reported();
}

function tiles(totals) {
  const effect = totals.amount_cents - totals.first_amount_cents;
  const standing = totals.orders - totals.cancelled;
  const found = [
    ["Revenue", money(totals.amount_cents), `${effect ? money(effect) : "unchanged"} by corrections`],
    ["Orders", number.format(standing), `${money(standing ? totals.amount_cents / standing : 0)} on average`],
    ["Late", number.format(totals.late), "recorded a day or more after the sale"],
    ["Corrected", number.format(totals.corrected), "the last version counts"],
    ["Cancelled", number.format(totals.cancelled), "no longer among the facts"],
  ];
  fill($("tiles"), found.map(([name, value, detail]) => element(
    "div", {}, element("dt", {}, name), element("dd", {}, value, element("small", {}, detail)),
  )));
}

const dateOf = (key) => Date.UTC(Math.floor(key / 10000), (Math.floor(key / 100) % 100) - 1, key % 100);

/** Every day from the first to the last, those without sales, too. */
function everyDay(rows) {
  const known = new Map(rows.map((row) => [dateOf(row.date_key), row.amount_cents]));
  const found = [];
  if (!rows.length) return found;
  const last = dateOf(rows.at(-1).date_key);
  for (let at = dateOf(rows[0].date_key); at <= last; at += 86_400_000) {
    found.push({ at, cents: known.get(at) ?? 0 });
  }
  return found;
}

function timeline() {
  const points = everyDay(shown.days);
  const width = $("days").clientWidth, height = $("days").clientHeight;
  const left = 58, right = width - 8, top = 10, bottom = height - 26;
  const step = nice(Math.max(100, ...points.map((point) => point.cents)) / 4);
  const most = step * Math.ceil(Math.max(1, ...points.map((point) => point.cents)) / step);
  const x = (index) => left + ((right - left) * index) / Math.max(1, points.length - 1);
  const y = (cents) => bottom - ((bottom - top) * cents) / most;
  const svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": summary(points) });
  for (let cents = 0; cents <= most; cents += step) {
    svg.append(shape("line", { class: "grid", x1: left, x2: right, y1: y(cents), y2: y(cents) }));
    svg.append(shape("text", { x: left - 8, y: y(cents) + 4, "text-anchor": "end" }, whole.format(cents / 100)));
  }
  const path = points.map((point, index) => `${x(index).toFixed(1)},${y(point.cents).toFixed(1)}`);
  svg.append(shape("polygon", { class: "area", points: [`${left},${bottom}`, ...path, `${right},${bottom}`].join(" ") }));
  svg.append(shape("polyline", { class: "curve", points: path.join(" ") }));
  const labels = Math.max(2, Math.floor((right - left) / 110));
  const every = Math.max(1, Math.ceil(points.length / labels));
  const half = (right - left) / Math.max(1, points.length - 1) / 2;
  points.forEach((point, index) => {
    const day = shortDay.format(point.at);
    if (index % every === 0) svg.append(shape("text", { x: x(index), y: height - 6, "text-anchor": index ? "middle" : "start" }, day));
    const hit = shape("rect", { class: "hit", x: x(index) - half, y: top, width: half * 2, height: bottom - top });
    hit.append(shape("title", {}, `${day}: ${money(point.cents)}`));
    svg.append(hit);
  });
  fill($("days"), [svg]);
}

/** 1, 2 or 5 times a power of ten, not less than `value`. */
function nice(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return power * [1, 2, 5, 10].find((factor) => factor * power >= value);
}

function summary(points) {
  if (!points.length) return "No revenue yet";
  const best = points.reduce((one, other) => (other.cents > one.cents ? other : one));
  const span = `${shortDay.format(points[0].at)} to ${shortDay.format(points.at(-1).at)}`;
  return `Revenue by day in euros, ${span}; most on ${shortDay.format(best.at)}: ${money(best.cents)}`;
}

function bars(list, rows, name) {
  const most = Math.max(1, ...rows.map((row) => row.amount_cents));
  fill(list, rows.map((row) => {
    const width = Math.max(0, (100 * row.amount_cents) / most);
    const svg = shape("svg", { viewBox: "0 0 100 4", preserveAspectRatio: "none", "aria-hidden": "true" });
    svg.append(shape("rect", { class: "bar", width, height: 4 }));
    return element("li", {}, element("span", {}, row[name]), element("span", {}, money(row.amount_cents)), svg);
  }));
}

function months() {
  const known = [...new Set(shown.days.map((day) => String(day.date_key).slice(0, 6)))];
  const options = known.map((key) => `${key.slice(0, 4)}-${key.slice(4)}`);
  const chosen = $("month").value;
  const all = element("option", { value: "" }, "All");
  fill($("month"), [all, ...options.reverse().map((month) => element("option", { value: month }, month))]);
  $("month").value = options.includes(chosen) ? chosen : "";
}

async function reported() {
  const month = $("month").value;
  const found = await ask(`api/reports/${$("name").value}${month && `?month=${month}`}`);
  const side = (column) => (column.kind === "text" ? {} : { class: "number" });
  const heads = found.columns.map((column) => element("th", { scope: "col", ...side(column) }, column.label));
  const rows = found.rows.map((one) => element("tr", {}, ...found.columns.map(
    (column) => element("td", side(column), kinds[column.kind](one[column.name])),
  )));
  const none = element("tr", {}, element("td", { colspan: heads.length }, "Nothing in this month."));
  fill($("rows"), [
    element("thead", {}, element("tr", {}, ...heads)),
    element("tbody", {}, ...(rows.length ? rows : [none])),
  ]);
}

$("asked").addEventListener("change", () => reported().catch(look));
addEventListener("resize", () => shown && timeline());
document.addEventListener("visibilitychange", look);
setInterval(look, INTERVAL_MS);
look();
