// The top ten of a window that ends at a moment, and the half hour before of some tags.

const EVERY_MS = 2000;
const PLAY_EVERY_MS = 500;
const PLAY_STEP_S = 20;
const HISTORY_S = 6 * 3600;
const SERIES_S = 1800;
const PLOT = { height: 330, left: 36, right: 12, top: 14, bottom: 28 };
const COLORS = 4;
const WINDOWS = { "1m": "the minute", "5m": "the five minutes", "1h": "the hour" };
const byId = id => document.getElementById(id);
const picked = []; // tags, at most as many as there are colours
let at = null; // null: the latest
let playing = 0;
let asked = 0;

async function ask(path) {
  const answer = await fetch(path);
  const document = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(document.message ?? `${path} answered ${answer.status}`);
  return document;
}

async function refresh() {
  if (document.hidden) return;
  const turn = ++asked;
  try {
    const { window, by } = choices();
    const top = await ask(`top?window=${window}&by=${by}${at === null ? "" : `&at=${at}`}`);
    if (turn !== asked) return; // an answer to an older question
    show(top, window, by);
    const tags = picked.length ? picked : top.tags.slice(0, 3).map(one => one.tag);
    const series = await Promise.all(tags.map(tag =>
      ask(`tags/${encodeURIComponent(tag)}?from=${top.to - SERIES_S - 60}&to=${top.to}`)));
    if (turn === asked) showLines(series);
  } catch (error) {
    tell(`No answer. Trying again.\n${error.message}`, true);
  }
}

const choices = () => Object.fromEntries(new FormData(byId("controls")));

function tell(text, isLost = false) {
  const state = byId("state");
  if (state.textContent !== text) state.textContent = text;
  state.classList.toggle("lost", isLost);
}

function show(top, window, by) {
  byId("empty").hidden = top.last > 0;
  byId("busy").hidden = top.last === 0;
  if (!top.last) return tell("Waiting for posts.");
  tell(`${top.posts.toLocaleString("en")} posts in ${WINDOWS[window]} to\n${moment(top.to)} UTC`);
  byId("top-note").textContent = by === "score"
    ? "Mentions; the strong part of a bar is more than the hour before lets expect. The unlikeliest first."
    : "Mentions, the most frequent first; the strong part is more than the hour before lets expect.";
  showTime(top);
  showBars(top.tags, by);
}

function showTime({ first, last, to }) {
  const slider = byId("at");
  slider.min = Math.max(first + 10, last - HISTORY_S);
  slider.max = last;
  slider.value = to;
  slider.setAttribute("aria-valuetext", `${moment(to)} UTC`);
  byId("moment").textContent = `${moment(to)} UTC`;
  byId("live").setAttribute("aria-pressed", String(at === null));
}

function showBars(tags, by) {
  const list = byId("bars");
  const known = new Map([...list.children].map(one => [one.dataset.tag, one]));
  const most = Math.max(...tags.map(one => one.count), 1);
  const colors = picked.length ? picked : tags.slice(0, 3).map(one => one.tag);
  tags.forEach((one, place) => {
    const item = known.get(one.tag) ?? list.appendChild(bar(one.tag));
    known.delete(one.tag);
    const button = item.firstChild;
    item.style.transform = `translateY(${place * 2.6}rem)`;
    button.style.setProperty("--share", one.count / most);
    button.style.setProperty("--usual", `${Math.min(one.expected / one.count, 1) * 100}%`);
    button.style.setProperty("--color", `var(--tag-${colors.indexOf(one.tag)})`);
    button.setAttribute("aria-pressed", String(colors.includes(one.tag)));
    button.lastChild.textContent = by === "score" ? `${one.count} · expected ${one.expected < 10 ? +one.expected.toFixed(1) : Math.round(one.expected)}` : `${one.count}`;
  });
  known.forEach(item => item.remove());
  // In the order of places for those who listen or use the keyboard; moved only where that changed.
  tags.forEach((one, place) => {
    const item = [...list.children].find(child => child.dataset.tag === one.tag);
    if (list.children[place] !== item && !list.contains(document.activeElement)) list.insertBefore(item, list.children[place]);
  });
}

function bar(tag) {
  const item = document.createElement("li");
  item.dataset.tag = tag;
  const button = document.createElement("button");
  button.type = "button";
  button.append(element("span", `#${tag}`, { dir: "auto" }), element("small"));
  button.onclick = () => toggle(tag);
  item.append(button);
  return item;
}

function toggle(tag) {
  const place = picked.indexOf(tag);
  if (place >= 0) picked.splice(place, 1);
  else {
    if (picked.length === COLORS) picked.shift();
    picked.push(tag);
  }
  refresh();
}

function showLines(series) {
  const curves = series.map(({ tag, step, points }) => ({ tag, points: perMinute(points, 60 / step) }));
  byId("lines").innerHTML = plot(curves);
  const key = element("ul", "", { class: "key" });
  curves.forEach(({ tag }, place) => key.append(element("li", `#${tag}`, { style: `--color: var(--tag-${place})` })));
  byId("lines").append(key);
}

// Buckets of ten seconds become the sum of the six before each moment.
function perMinute(points, width) {
  return points.slice(width).map(([start], place) =>
    [start, points.slice(place, place + width).reduce((sum, [, count]) => sum + count, 0)]);
}

function plot(curves) {
  const { height, left, right, top, bottom } = PLOT;
  const width = Math.max(byId("lines").clientWidth, 260);
  if (!curves.length || curves[0].points.length < 2) return "<p>Too early.</p>";
  const first = curves[0].points[0][0], last = curves[0].points.at(-1)[0];
  const highest = Math.max(4, ...curves.flatMap(curve => curve.points.map(([, count]) => count))) * 1.05;
  const x = moment => left + (moment - first) / (last - first) * (width - left - right);
  const y = value => top + (1 - value / highest) * (height - top - bottom);
  const label = curves.map(({ tag, points }) => `#${tag}: ${points.at(-1)[1]} a minute`).join(", ");
  const lines = [`<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${label}">`]; // tags are letters and digits
  const step = niceStep(highest / 4);
  for (let value = 0; value <= highest; value += step) {
    lines.push(`<line class="grid" x1="${left}" x2="${width - right}" y1="${y(value)}" y2="${y(value)}"/>`,
      `<text x="${left - 8}" y="${y(value) + 4}" text-anchor="end">${value}</text>`);
  }
  for (let moment = Math.ceil(first / 300) * 300; moment <= last; moment += 300) {
    lines.push(`<text x="${x(moment)}" y="${height - 6}" text-anchor="middle">${clock(moment)}</text>`);
  }
  lines.push(`<text x="${left + 4}" y="${top - 4}">mentions a minute</text>`);
  curves.forEach(({ points }, place) => {
    const path = points.map(([moment, count]) => `${x(moment).toFixed(1)},${y(count).toFixed(1)}`).join(" ");
    lines.push(`<polyline points="${path}" style="stroke: var(--tag-${place})"/>`);
  });
  lines.push("</svg>");
  return lines.join("");
}

function niceStep(rough) {
  const power = 10 ** Math.max(0, Math.floor(Math.log10(rough)));
  return [1, 2, 5, 10].find(factor => factor * power >= rough * 0.7) * power;
}

function element(name, text = "", attributes = {}) {
  const made = document.createElement(name);
  made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function stop() {
  clearInterval(playing);
  playing = 0;
  byId("play").textContent = "Play";
}

function play() {
  if (playing) return stop();
  const slider = byId("at");
  if (at === null || at >= +slider.max) at = +slider.min;
  byId("play").textContent = "Pause";
  playing = setInterval(() => {
    at += PLAY_STEP_S;
    if (at >= +slider.max) { at = null; stop(); }
    refresh();
  }, PLAY_EVERY_MS);
}

const format = (seconds, options) => new Date(seconds * 1000).toLocaleString("en-GB", { timeZone: "UTC", ...options });
const clock = seconds => format(seconds, { hour: "2-digit", minute: "2-digit" });
const moment = seconds => format(seconds, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit" });

byId("controls").addEventListener("submit", event => event.preventDefault());
byId("controls").addEventListener("change", event => event.target.id !== "at" && refresh());
byId("at").addEventListener("input", () => { stop(); at = +byId("at").value; refresh(); });
byId("play").addEventListener("click", play);
byId("live").addEventListener("click", () => { stop(); at = null; refresh(); });
document.addEventListener("visibilitychange", refresh);
addEventListener("resize", refresh);
(async function forever() {
  if (!playing) await refresh();
  setTimeout(forever, EVERY_MS);
})();
