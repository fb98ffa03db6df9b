// Counters over time: a snapshot, increments added to it, the window moving on. Pure.
import type { Bucket, Counts, Histogram, Increment, Stats } from "../api/types";

const FIELDS = ["uploads", "bytes", "downloads", "verifications", "hashes", "quarantined"] as const;

const empty = (atMs: number): Bucket => ({
  at: new Date(atMs).toISOString(),
  uploads: 0,
  bytes: 0,
  downloads: 0,
  verifications: 0,
  hashes: 0,
  quarantined: 0,
  types: {},
  latency: { p50_ms: null, p99_ms: null, histogram: {} },
});

/** Moves the window so that its last bucket is the running one; the buckets keep their number. */
export function advance(stats: Stats, nowMs: number): Stats {
  const stepMs = stats.step_s * 1000;
  const last = stats.buckets.at(-1);
  if (!last || Date.parse(last.at) + stepMs > nowMs) return stats;
  const buckets = [...stats.buckets];
  for (let at = Date.parse(last.at) + stepMs; at <= nowMs; at += stepMs) buckets.push(empty(at));
  return {
    ...stats,
    buckets: buckets.slice(-stats.buckets.length),
    totals: summed(buckets.slice(-stats.buckets.length)),
  };
}

export function add(stats: Stats, increments: Increment[]): Stats {
  const stepMs = stats.step_s * 1000;
  const newest = Math.max(...increments.map((one) => Date.parse(one.at)));
  const moved = advance(stats, newest);
  const buckets = moved.buckets.map((bucket) => {
    const from = Date.parse(bucket.at);
    const within = increments.filter(
      (one) => Date.parse(one.at) >= from && Date.parse(one.at) < from + stepMs,
    );
    return within.reduce(plus, bucket);
  });
  return { ...moved, buckets, totals: summed(buckets) };
}

function plus(bucket: Bucket, one: Increment): Bucket {
  const next: Bucket = {
    ...bucket,
    types: merged(bucket.types, one.types),
    latency: latency(merged(bucket.latency.histogram, one.histogram)),
  };
  for (const field of FIELDS) next[field] += one[field] ?? 0;
  return next;
}

export function summed(buckets: Bucket[]): Counts & { latency: Bucket["latency"] } {
  const { at: _, ...zero } = empty(0);
  return buckets.reduce((sum, bucket) => {
    for (const field of FIELDS) sum[field] += bucket[field];
    sum.types = merged(sum.types, bucket.types);
    sum.latency = latency(merged(sum.latency.histogram, bucket.latency.histogram));
    return sum;
  }, zero);
}

function merged(a: Histogram, b: Histogram | undefined): Histogram {
  const sum = { ...a };
  for (const [key, value] of Object.entries(b ?? {})) sum[key] = (sum[key] ?? 0) + value;
  return sum;
}

function latency(histogram: Histogram): Bucket["latency"] {
  return { p50_ms: quantile(histogram, 0.5), p99_ms: quantile(histogram, 0.99), histogram };
}

/** The upper bound under which that share of the counted lies. */
export function quantile(histogram: Histogram, share: number): number | null {
  const bounds = Object.entries(histogram)
    .map(([bound, count]) => [Number(bound), count] as const)
    .sort(([a], [b]) => a - b);
  const all = bounds.reduce((sum, [, count]) => sum + count, 0);
  let seen = 0;
  for (const [bound, count] of bounds) {
    seen += count;
    if (all > 0 && seen >= share * all) return bound;
  }
  return null;
}
