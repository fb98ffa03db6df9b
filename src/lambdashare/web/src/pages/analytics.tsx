// Live charts of what happens: uploads, bytes, downloads, hash latency, kinds of files.
import { signal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import type { Bucket, Range, Stats } from "../api/types";
import { type Key, t } from "../i18n";
import { feed } from "../stats/feed";
import { bytes, count, dateTime, milliseconds } from "../text";
import { Chart, type Line } from "../ui/chart";
import { Warning } from "../ui/icons";
import { Layout } from "../ui/layout";

const RANGES: Range[] = ["hour", "day", "month"];
const range = signal<Range>("hour");

export function Analytics() {
  const source = useMemo(() => feed(range.value), [range.value]);
  useEffect(() => () => source.stop(), [source]);
  const stats = source.stats.value;
  return (
    <Layout section="analytics">
      <div class="row spread">
        <h1>{t("stats.lead")}</h1>
        <span class="live">
          <i />
          {t("stats.live")}
        </span>
      </div>
      <fieldset class="ranges">
        <legend class="hidden">{t("stats.range")}</legend>
        {RANGES.map((one) => (
          <label key={one}>
            <input
              type="radio"
              name="range"
              checked={range.value === one}
              onChange={() => (range.value = one)}
            />
            <span>{t(`stats.${one}`)}</span>
          </label>
        ))}
      </fieldset>
      {source.trouble.value && (
        <p class="alarm" role="alert">
          <Warning />
          {t("stats.failed", { detail: source.trouble.value })}
        </p>
      )}
      {stats && <Numbers stats={stats} />}
    </Layout>
  );
}

function Numbers({ stats }: { stats: Stats }) {
  const { totals } = stats;
  const quiet = totals.uploads + totals.downloads + totals.hashes + totals.verifications === 0;
  return (
    <>
      <dl class="tiles">
        <Tile name="stats.uploads" value={count(totals.uploads)} />
        <Tile name="stats.bytes" value={bytes(totals.bytes)} />
        <Tile name="stats.downloads" value={count(totals.downloads)} />
        <Tile name="stats.verifications" value={count(totals.verifications)} />
        <Tile
          name="stats.hashed.p50"
          value={totals.latency.p50_ms === null ? "–" : milliseconds(totals.latency.p50_ms)}
        />
        <Tile
          name="stats.hashed.p99"
          value={totals.latency.p99_ms === null ? "–" : milliseconds(totals.latency.p99_ms)}
        />
      </dl>
      {quiet && <p class="card calm">{t("stats.empty")}</p>}
      <Charts stats={stats} />
      <Types types={totals.types} />
      <Table buckets={stats.buckets} />
    </>
  );
}

function Tile({ name, value }: { name: Key; value: string }) {
  return (
    <div>
      <dt>{t(name)}</dt>
      <dd>{value}</dd>
    </div>
  );
}

function Charts({ stats }: { stats: Stats }) {
  const { buckets, step_s: stepS } = stats;
  const times = buckets.map((bucket) => Date.parse(bucket.at) / 1000);
  const per = t(`stats.per.${stats.range}`);
  const line = (
    title: Key,
    colour: Line["colour"],
    look: Line["look"],
    value: (bucket: Bucket) => number | null,
  ): Line => ({ title: t(title), colour, look, values: buckets.map(value) });
  const most = (lines: Line[]) =>
    Math.max(0, ...lines.flatMap((one) => one.values.map((value) => value ?? 0)));
  const draw = (title: Key, lines: Line[], format: (value: number) => string, all?: string) => {
    const words = { title: t(title), per, most: format(most(lines)), all: all ?? "" };
    return (
      <section class="card">
        <h2>
          {t(title)} <small>{per}</small>
        </h2>
        {lines.length > 1 && (
          <p class="legend" aria-hidden="true">
            {lines.map((one) => (
              <span key={one.title} class={one.colour.slice(2)}>
                {one.title}
              </span>
            ))}
          </p>
        )}
        <Chart
          label={t(all === undefined ? "stats.chart.max" : "stats.chart", words)}
          times={times}
          stepS={stepS}
          lines={lines}
          format={format}
          whole={format === count}
        />
      </section>
    );
  };
  const { totals } = stats;
  return (
    <div class="charts">
      {draw(
        "stats.activity",
        [
          line("stats.uploads", "--chart-a", "area", (one) => one.uploads),
          line("stats.downloads", "--chart-b", "area", (one) => one.downloads),
        ],
        count,
        count(totals.uploads + totals.downloads),
      )}
      {draw(
        "stats.bytes",
        [line("stats.bytes", "--chart-a", "bars", (one) => one.bytes)],
        bytes,
        bytes(totals.bytes),
      )}
      {draw(
        "stats.latency",
        [
          line("stats.p50", "--chart-a", "dots", (one) => one.latency.p50_ms),
          line("stats.p99", "--chart-b", "dots", (one) => one.latency.p99_ms),
        ],
        milliseconds,
      )}
      {draw(
        "stats.hashes",
        [line("stats.hashes", "--chart-a", "bars", (one) => one.hashes)],
        count,
        count(totals.hashes),
      )}
    </div>
  );
}

const TYPES = ["image", "video", "audio", "text", "application", "other"] as const;

function Types({ types }: { types: Record<string, number> }) {
  const known = TYPES.map((type) => [type, types[type] ?? 0] as const).filter(
    ([, number]) => number > 0,
  );
  const most = Math.max(1, ...known.map(([, number]) => number));
  if (known.length === 0) return null;
  return (
    <section class="card">
      <h2>{t("stats.types")}</h2>
      <dl class="types">
        {known
          .sort(([, a], [, b]) => b - a)
          .map(([type, number]) => (
            <div key={type}>
              <dt>{t(`types.${type}`)}</dt>
              <dd>
                <span
                  class="typebar"
                  aria-hidden="true"
                  style={{ width: `${(number / most) * 75}%` }}
                />
                {count(number)}
              </dd>
            </div>
          ))}
      </dl>
    </section>
  );
}

function Table({ buckets }: { buckets: Bucket[] }) {
  const busy = buckets
    .filter((one) => one.uploads + one.downloads + one.hashes + one.verifications > 0)
    .reverse();
  if (busy.length === 0) return null;
  const columns: [Key, (bucket: Bucket) => string][] = [
    ["stats.uploads", (one) => count(one.uploads)],
    ["stats.bytes", (one) => bytes(one.bytes)],
    ["stats.downloads", (one) => count(one.downloads)],
    ["stats.verifications", (one) => count(one.verifications)],
    ["stats.hashes", (one) => count(one.hashes)],
    ["stats.quarantined", (one) => count(one.quarantined)],
    ["stats.hashed.p50", (one) => (one.latency.p50_ms === null ? "–" : milliseconds(one.latency.p50_ms))],
    ["stats.hashed.p99", (one) => (one.latency.p99_ms === null ? "–" : milliseconds(one.latency.p99_ms))],
  ];
  return (
    <details class="card">
      <summary>{t("stats.table")}</summary>
      <div class="scroll" tabIndex={0} role="region" aria-label={t("stats.table")}>
        <table>
          <thead>
            <tr>
              <th scope="col">{t("stats.time")}</th>
              {columns.map(([name]) => (
                <th key={name} scope="col">
                  {t(name)}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {busy.map((one) => (
              <tr key={one.at}>
                <th scope="row">{dateTime(one.at)}</th>
                {columns.map(([name, value]) => (
                  <td key={name}>{value(one)}</td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
  );
}
