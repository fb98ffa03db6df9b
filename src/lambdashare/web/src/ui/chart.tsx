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
  bars?: boolean;
}

interface Props {
  label: string;
  /** Seconds since 1970. */
  times: number[];
  stepS: number;
  lines: Line[];
  format: (value: number) => string;
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
    const resize = new ResizeObserver(() => plot.setSize({ width: element.clientWidth, height: HEIGHT }));
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

function options({ lines, format, stepS }: Props, element: HTMLElement): uPlot.Options {
  const style = getComputedStyle(element);
  const colour = (name: string) => style.getPropertyValue(name).trim();
  const axis = { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: "12px system-ui" };
  const time = new Intl.DateTimeFormat(language.peek(), stepS < 86_400 ? { hour: "2-digit", minute: "2-digit" } : { day: "numeric", month: "short" });
  return {
    width: element.clientWidth,
    height: HEIGHT,
    cursor: { y: false, points: { size: 6 } },
    legend: { show: false },
    scales: { y: { range: (_, __, most) => [0, Math.max(1, (most ?? 0) * 1.1)] } },
    axes: [
      { ...axis, values: (_, ticks) => ticks.map((tick) => time.format(tick * 1000)) },
      { ...axis, size: 76, values: (_, ticks) => ticks.map((tick) => (tick < 1 && tick > 0 ? "" : format(tick))) },
    ],
    series: [{}, ...lines.map((line) => series(line, colour(line.colour)))],
  };
}

function series(line: Line, stroke: string): uPlot.Series {
  const bars = line.bars ? { paths: uPlot.paths.bars!({ size: [0.7, 24], radius: 0.3 }) } : {};
  return { label: line.title, stroke, fill: line.bars ? stroke : `${stroke}26`, width: line.bars ? 0 : 2, points: { show: !line.bars, size: 5, fill: stroke }, ...bars };
}
