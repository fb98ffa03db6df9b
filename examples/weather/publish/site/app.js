// The site: asks the API, shows what it says, and who said it (the function or the API's cache).

import { band, bars, element, frame, names } from "./charts.js";

const NEWS_MS = 2000;
const ALL_MS = 10_000;
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAY_MS = 86_400_000;
const WHOLE_YEAR = 300;
const SHOWN = 6;

const $ = (id) => document.getElementById(id);
const took = { hit: [], miss: [] };
let api = "";
let stations = [];
let shown = { days: [], climate: [] };
let askedAllAt = 0;
let timer = 0;

// --- asking ---

async function ask(path) {
  const start = performance.now();
  const response = await fetch(api + path, { cache: "no-store" });
  const document = await response.json().catch(() => ({}));
  const ms = performance.now() - start;
  if (!response.ok) throw new Error(document.message ?? `the API answered ${response.status}`);
  // made for another request than this one: it was kept
  const isHit = response.headers.get("x-made-for") !== response.headers.get("x-amzn-RequestId");
  note(path, isHit ? "hit" : "miss", ms);
  return document;
}

function note(path, kind, ms) {
  took[kind].push(ms);
  const row = document.createElement("tr");
  for (const text of [path, kind === "hit" ? "the cache" : "the function", `${ms.toFixed(0)} ms`]) {
    const cell = document.createElement("td");
    cell.textContent = text;
    row.append(cell);
  }
  row.children[0].title = path;
  row.children[1].className = kind;
  $("requests").prepend(row);
  while ($("requests").children.length > SHOWN) $("requests").lastChild.remove();
  const parts = [["hit", "from the cache"], ["miss", "by the function"]]
    .filter(([name]) => took[name].length)
    .map(([name, text]) => `${took[name].length} ${text} (median ${median(took[name]).toFixed(0)} ms)`);
  $("cache").textContent = `This page asked ${took.hit.length + took.miss.length} times: ${parts.join(", ")}.`;
}

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];

async function refresh() {
  clearTimeout(timer);
  if (document.hidden) return;
  try {
    if (!api) api = (await (await fetch("config.json")).json()).api;
    stations = (await ask("/stations")).stations.filter((station) => station.days);
    await showStations();
    problem("");
  } catch (error) {
    problem(`The API cannot be asked: ${error.message}. Trying again.`);
  }
  clearTimeout(timer);
  timer = setTimeout(refresh, NEWS_MS);
}

async function showStations() {
  $("empty").hidden = stations.length > 0;
  $("main").hidden = $("choice").hidden = stations.length === 0;
  if (!stations.length) return;
  const ids = stations.map((station) => station.id).join();
  if ($("station").dataset.ids !== ids) {
    const chosen = $("station").value;
    $("station").replaceChildren(...stations.map((station) => new Option(station.name ?? station.id, station.id)));
    $("station").dataset.ids = ids;
    $("station").value = stations.some(({ id }) => id === chosen) ? chosen : stations.at(-1).id;
  }
  showYears();
  showLatest(await ask(`/stations/${station().id}/latest`));
  if (Date.now() - askedAllAt > ALL_MS) await askAll();
}

const station = () => stations.find((each) => each.id === $("station").value) ?? stations[0];

async function askAll() {
  askedAllAt = Date.now();
  const { id } = station();
  const question = new URLSearchParams({ from: $("from").value, to: $("to").value });
  const [days, climate] = await Promise.all([
    ask(`/stations/${id}/days?${question}`),
    ask(`/stations/${id}/climate`),
  ]);
  shown = { days: days.days, climate: climate.months };
  draw();
}

function problem(text) {
  if ($("problem").textContent !== text) $("problem").textContent = text;
  $("problem").hidden = !text;
}

// --- latest ---

function showLatest(latest) {
  const { ingested } = station();
  const now = latest.temp ?? (latest.temp_max + latest.temp_min) / 2;
  const facts = [
    latest.time.replace("T", " "),
    latest.wind === undefined ? "" : `wind ${latest.wind.toFixed(1)} m/s`,
    latest.weather ?? "",
    latest.source ? `observed at ${latest.source}` : "from the files",
  ];
  const place = $("latest");
  const text = degrees(now) + facts.join();
  if (place.dataset.text !== text) {
    place.dataset.text = text;
    const number = Object.assign(document.createElement("p"), { className: "now", textContent: degrees(now) });
    const list = Object.assign(document.createElement("p"), { className: "facts" });
    list.append(...facts.filter(Boolean).map((fact) => Object.assign(document.createElement("span"), { textContent: fact })));
    place.replaceChildren(number, list);
  }
  const failed = ingested && ingested.outcome !== "ok";
  $("ingested").className = failed ? "bad" : "quiet";
  $("ingested").textContent = !ingested ? "The weather service has not been asked yet."
    : failed ? `Asked at ${clock(ingested.at)}: ${ingested.outcome}. It is asked again at the schedule's next turn.`
    : `The weather service was asked at ${clock(ingested.at)}.`;
}

const degrees = (value) => `${value.toFixed(1).replace("-", "−")} °C`;
const clock = (moment) => new Date(moment).toLocaleTimeString("en-GB");

// --- range ---

function showYears() {
  const years = Object.entries(station().years).sort();
  const wanted = years.map(([year]) => year).join();
  if ($("years").dataset.years !== station().id + wanted) {
    $("years").dataset.years = station().id + wanted;
    $("years").replaceChildren(...years.map(([year]) => {
      const button = Object.assign(document.createElement("button"), { type: "button", textContent: year });
      button.addEventListener("click", () => choose(`${year}-01-01`, `${year}-12-31`));
      return button;
    }));
    const whole = years.filter(([, days]) => days >= WHOLE_YEAR).at(-1) ?? years.at(-1);
    setRange(`${whole[0]}-01-01`, `${whole[0]}-12-31`);
  }
}

function setRange(from, to) {
  $("from").value = from;
  $("to").value = to;
  for (const button of $("years").children) {
    const isShown = from === `${button.textContent}-01-01` && to === `${button.textContent}-12-31`;
    button.setAttribute("aria-pressed", isShown);
  }
  askedAllAt = 0;
}

function choose(from, to) {
  setRange(from, to);
  askAll().catch((error) => problem(`${error.message}.`));
}

// --- charts ---

function draw() {
  drawDays();
  drawClimate();
}

function drawDays() {
  const start = Date.parse($("from").value);
  const columns = (Date.parse($("to").value) - start) / DAY_MS + 1;
  const days = shown.days.map((day) => ({ ...day, column: (Date.parse(day.date) - start) / DAY_MS }));
  readout(days);
  if (!days.length) {
    for (const id of ["band", "rain"]) $(id).replaceChildren();
    $("raintitle").textContent = "";
    return;
  }
  const low = Math.min(...days.map((day) => day.temp_min)), high = Math.max(...days.map((day) => day.temp_max));
  const label = `Daily temperatures from ${$("from").value} to ${$("to").value}, between ${degrees(low)} and ${degrees(high)}`;
  const chart = frame($("band"), { columns, low, high, unit: "°C", height: 260, label });
  band(chart, days.map((day) => [day.column, day.temp_min, day.temp_max]));
  names(chart, ticks(start, columns));
  follow(chart, days, columns);
  drawRain(days.filter((day) => day.precipitation !== undefined), start, columns);
}

function drawRain(days, start, columns) {
  $("rainblock").hidden = !days.length;
  if (!days.length) return;
  const isLong = columns > 120;
  $("raintitle").textContent = isLong ? "Precipitation of each month, mm" : "Precipitation of each day, mm";
  const values = isLong ? months(days) : days.map((day) => [day.column, 1, day.precipitation]);
  const most = Math.max(...values.map(([, , mm]) => mm), 1);
  const label = `${$("raintitle").textContent}: at most ${most.toFixed(1)}`;
  const chart = frame($("rain"), { columns, low: 0, high: most, unit: "mm", height: 160, label });
  bars(chart, values);
  names(chart, ticks(start, columns));
}

function months(days) {
  const found = new Map();
  for (const { date, column, precipitation } of days) {
    const month = found.get(date.slice(0, 7)) ?? [column, 0, 0];
    found.set(date.slice(0, 7), [month[0], column - month[0] + 1, month[2] + precipitation]);
  }
  return [...found.values()];
}

// Below the axis: days of a short range, months of a longer one.
function ticks(start, columns) {
  const found = [];
  for (let column = 0; column < columns; column += 1) {
    const day = new Date(start + column * DAY_MS);
    if (columns > 45 && day.getUTCDate() !== 1) continue;
    const month = MONTHS[day.getUTCMonth()];
    const year = String(day.getUTCFullYear()).slice(2);
    const name = columns <= 45 ? `${day.getUTCDate()} ${month}` : columns > 400 ? `${month} ’${year}` : month;
    found.push([column, name]);
  }
  return found;
}

function follow(chart, days, columns) {
  const line = element("line", { class: "pointer", y1: 22, y2: chart.height - 24, visibility: "hidden" });
  chart.svg.append(line);
  chart.svg.addEventListener("pointermove", (event) => {
    const box = chart.svg.getBoundingClientRect();
    const place = ((event.clientX - box.left) / box.width) * chart.width;
    const column = Math.round(((place - chart.x(0)) / chart.wide) * columns);
    const day = days.reduce((best, each) => (Math.abs(each.column - column) < Math.abs(best.column - column) ? each : best));
    line.setAttribute("visibility", "visible");
    for (const side of ["x1", "x2"]) line.setAttribute(side, chart.x(day.column));
    const rain = day.precipitation === undefined ? "" : `, ${day.precipitation} mm, wind ${day.wind} m/s, ${day.weather}`;
    $("readout").textContent = `${day.date}: ${degrees(day.temp_min)} to ${degrees(day.temp_max)}${rain}`;
  });
  chart.svg.addEventListener("pointerleave", () => {
    line.setAttribute("visibility", "hidden");
    readout(days);
  });
}

function readout(days) {
  if (!days.length) {
    $("readout").textContent = "There is nothing of these days.";
    return;
  }
  const warmest = days.reduce((best, day) => (day.temp_max > best.temp_max ? day : best));
  const coldest = days.reduce((best, day) => (day.temp_min < best.temp_min ? day : best));
  $("readout").textContent = `${days.length} days; warmest ${warmest.date} (${degrees(warmest.temp_max)}), `
    + `coldest ${coldest.date} (${degrees(coldest.temp_min)})`;
}

function drawClimate() {
  const months = shown.climate;
  if (!months.length) return;
  const total = months.reduce((sum, month) => sum + month.days, 0);
  $("climatetext").textContent = `Of ${total.toLocaleString("en")} days in ${Object.keys(station().years).length} years.`;
  const low = Math.min(...months.map((month) => month.record_low));
  const high = Math.max(...months.map((month) => month.record_high));
  const label = `Mean temperatures of the months; records ${degrees(low)} and ${degrees(high)}`;
  const chart = frame($("climateband"), { columns: 12, low, high, unit: "°C", height: 240, label });
  const middle = (month) => month.month - 0.5;
  for (const month of months) {
    for (const value of [month.record_low, month.record_high]) {
      const [x, y] = [chart.x(middle(month)), chart.y(value)];
      chart.svg.append(element("line", { class: "record", x1: x - 6, x2: x + 6, y1: y, y2: y }));
    }
  }
  band(chart, months.map((month) => [middle(month), month.temp_min, month.temp_max]));
  names(chart, months.map((month) => [middle(month), MONTHS[month.month - 1]]));
  const wet = months.filter((month) => month.precipitation !== undefined);
  $("climaterainblock").hidden = !wet.length;
  if (!wet.length) return;
  const most = Math.max(...wet.map((month) => month.precipitation), 1);
  const about = `Precipitation of a mean month: at most ${most} mm`;
  const rain = frame($("climaterain"), { columns: 12, low: 0, high: most, unit: "mm", height: 160, label: about });
  bars(rain, wet.map((month) => [month.month - 0.85, 0.7, month.precipitation]));
  names(rain, wet.map((month) => [middle(month), MONTHS[month.month - 1]]));
}

// --- beginnings ---

$("station").addEventListener("change", () => {
  setRange("", "");
  refresh();
});
$("range").addEventListener("submit", (event) => event.preventDefault());
for (const id of ["from", "to"]) {
  $(id).addEventListener("change", () => {
    if ($("from").value && $("from").value <= $("to").value) choose($("from").value, $("to").value);
  });
}
addEventListener("resize", () => shown.days.length && draw());
document.addEventListener("visibilitychange", refresh);
refresh();
