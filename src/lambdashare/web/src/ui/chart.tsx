// A uPlot chart in the page's colours. Its meaning in words is the caller's `label`; the table has every number.
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { language } from "../i18n";
import { theme } from "./theme";

export interface Line {
  title: string;
  values: (number | null)[];
  colour: "--chart-a" | "--chart-b";
  /** Bars for what is counted; dots where values are few and gaps mean "nothing to measure". */
  look: "area" | "bars" | "dots";
}

interface Props {
  label: string;
  /** Seconds since 1970. */
  times: number[];
  stepS: number;
  lines: Line[];
  format: (value: number) => string;
  /** Counts have no halves. */
  whole?: boolean;
}

const HEIGHT = 200;

export function Chart(props: Props) {
  const box = useRef<HTMLDivElement>(null);
  const chart = useRef<uPlot | null>(null);
  const { times, lines, label } = props;
  // Colours and words are read once: another theme or language makes another chart.
  const look = `${theme.value} ${language.value} ${props.stepS}`;
  useEffect(() => {
    const element = box.current!;
    const plot = new uPlot(options(props, element), data(props), element);
    chart.current = plot;
    const resize = new ResizeObserver(() =>
      plot.setSize({ width: element.clientWidth, height: HEIGHT }),
    );
    resize.observe(element);
    return () => {
      resize.disconnect();
      plot.destroy();
    };
  }, [look]);
  useEffect(() => chart.current?.setData(data(props)), [times, lines]);
  return <div class="chart" role="img" aria-label={label} ref={box} />;
}

function data({ times, lines }: Props): uPlot.AlignedData {
  return [times, ...lines.map((line) => line.values)];
}

const WHOLE_STEPS = [1, 10, 100, 1e3, 1e4, 1e5, 1e6].flatMap((power) => [
  power,
  2 * power,
  5 * power,
]);

function options(
  { lines, format, stepS, whole = false }: Props,
  element: HTMLElement,
): uPlot.Options {
  const style = getComputedStyle(element);
  const colour = (name: string) => style.getPropertyValue(name).trim();
  const axis = {
    stroke: colour("--soft"),
    grid: { stroke: colour("--line"), width: 1 },
    ticks: { show: false },
    font: "12px system-ui",
  };
  const time = new Intl.DateTimeFormat(
    language.peek(),
    stepS < 86_400
      ? { hour: "2-digit", minute: "2-digit", hourCycle: "h23" }
      : { day: "numeric", month: "short" },
  );
  return {
    width: element.clientWidth,
    height: HEIGHT,
    padding: [10, 22, 0, 0],
    cursor: { y: false, points: { size: 6 } },
    legend: { show: false },
    // Half a step of room at either end: bars are as wide as that.
    scales: {
      x: { range: (_, from, to) => [from - stepS / 2, to + stepS / 2] },
      y: { range: (_, __, most) => [0, Math.max(1, (most ?? 0) * 1.1)] },
    },
    axes: [
      {
        ...axis,
        size: 28,
        space: 64,
        values: (_, ticks) => ticks.map((tick) => time.format(tick * 1000)),
      },
      {
        ...axis,
        size: (_, labels) => 14 + 7 * Math.max(1, ...(labels ?? []).map((label) => label.length)),
        values: (_, ticks) => ticks.map(format),
        ...(whole ? { incrs: WHOLE_STEPS } : {}),
      },
    ],
    series: [{}, ...lines.map((line) => series(line, colour(line.colour)))],
  };
}

function series({ title, look }: Line, stroke: string): uPlot.Series {
  const shared = { label: title, stroke, points: { show: false } };
  if (look === "bars")
    return {
      ...shared,
      fill: stroke,
      width: 0,
      paths: uPlot.paths.bars!({ size: [0.7, 24], radius: 0.3 }),
    };
  if (look === "dots")
    return { ...shared, paths: () => null, points: { show: true, size: 7, fill: stroke } };
  return { ...shared, fill: `${stroke}26`, width: 2 };
}
