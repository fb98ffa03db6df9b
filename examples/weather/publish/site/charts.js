// Charts as SVG, one unit a pixel: bands between a low and a high, and bars.

const LEFT = 44, RIGHT = 8, TOP = 22, BOTTOM = 24;
const NAMESPACE = "http://www.w3.org/2000/svg";

export function element(name, attributes, text = "") {
  const made = document.createElementNS(NAMESPACE, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.textContent = text;
  return made;
}

// `columns` of x; the value axis from `low` to `high`, in `unit`.
export function frame(place, { columns, low, high, unit, height, label }) {
  const width = Math.max(300, Math.round(place.clientWidth));
  const step = nice((high - low) / 4 || 1);
  const [bottom, top] = [Math.floor(low / step) * step, Math.ceil(high / step) * step || step];
  const wide = width - LEFT - RIGHT, tall = height - TOP - BOTTOM;
  const x = (column) => LEFT + (wide * column) / Math.max(1, columns);
  const y = (value) => TOP + tall * (1 - (value - bottom) / (top - bottom));
  const svg = element("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
  for (let value = bottom; value <= top + step / 2; value += step) {
    const line = Math.abs(value) < step / 2 && bottom < 0 ? "zero" : "grid";
    svg.append(element("line", { class: line, x1: LEFT, x2: width - RIGHT, y1: y(value), y2: y(value) }));
    const number = String(Math.round(value * 10) / 10).replace("-", "−");
    svg.append(element("text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, number));
  }
  svg.append(element("text", { x: LEFT, y: 12 }, unit));
  place.replaceChildren(svg);
  return { svg, x, y, width, wide, height };
}

function nice(step) {
  const power = 10 ** Math.floor(Math.log10(step));
  return power * ([1, 2, 5, 10].find((each) => each >= step / power) ?? 10);
}

// Names below the columns, as many as there is room for: [column, text].
export function names(chart, texts) {
  const room = Math.max(1, Math.ceil((texts.length * 52) / chart.wide));
  texts.forEach(([column, text], place) => {
    if (place % room) return;
    chart.svg.append(element("text", { x: chart.x(column), y: chart.height - 6, "text-anchor": "middle" }, text));
  });
}

// One shape per run without a gap: points are [column, low, high].
export function band(chart, points) {
  for (const run of runs(points)) {
    const upper = run.map(([column, , high]) => `${chart.x(column).toFixed(1)},${chart.y(high).toFixed(1)}`);
    const lower = run.map(([column, low]) => `${chart.x(column).toFixed(1)},${chart.y(low).toFixed(1)}`);
    chart.svg.append(
      element("polygon", { class: "band", points: [...upper, ...lower.toReversed()].join(" ") }),
      element("polyline", { class: "high", points: upper.join(" ") }),
      element("polyline", { class: "low", points: lower.join(" ") }),
    );
  }
}

function runs(points) {
  const found = [];
  let before = -Infinity;
  for (const point of points) {
    if (point[0] !== before + 1) found.push([]);
    found.at(-1).push(point);
    before = point[0];
  }
  // a lonely day is still to be seen
  return found.map((run) => (run.length > 1 ? run : [run[0], [run[0][0] + 0.5, run[0][1], run[0][2]]]));
}

// Bars are [first column, columns, value]; a thin gap where there is room.
export function bars(chart, values) {
  for (const [column, columns, value] of values) {
    const [left, right] = [chart.x(column), chart.x(column + columns)];
    const gap = right - left > 4 ? 1 : 0;
    const top = chart.y(value);
    chart.svg.append(element("rect", {
      class: "bars", x: left + gap / 2, width: Math.max(0.5, right - left - gap),
      y: top, height: Math.max(0, chart.y(0) - top),
    }));
  }
}
