import { describe, expect, it } from "vitest";
import type { Increment, Stats } from "../src/api/types";
import { de } from "../src/i18n/de";
import { en, type Key } from "../src/i18n/en";
import { fill, preferred } from "../src/i18n";
import { add, advance, quantile } from "../src/stats/series";
import { bytes, duration, milliseconds, percent } from "../src/text/format";
import { tenths } from "../src/ui/announce";

const plain = (text: string) => text.replace(/[\u00a0\u202f]/g, " ");

describe("numbers", () => {
  it("writes sizes with three digits that matter", () => {
    expect(plain(bytes(0, "en"))).toBe("0 bytes");
    expect(plain(bytes(999, "en"))).toBe("999 bytes");
    expect(plain(bytes(1500, "en"))).toBe("1.5 kB");
    expect(plain(bytes(999_999, "en"))).toBe("1 MB");
    expect(plain(bytes(12_340_000, "de"))).toBe("12,3 MB");
    expect(plain(bytes(5e13, "en"))).toBe("50 TB");
  });

  it("says 100 % only at the end", () => {
    expect(percent(999, 1000, "en")).toBe("99%");
    expect(percent(1000, 1000, "en")).toBe("100%");
    expect(percent(0, 0, "en")).toBe("100%");
  });

  it("writes the two largest units", () => {
    expect(duration(0, "en")).toBe("0 sec");
    expect(duration(61.2, "en")).toBe("1 min 2 sec");
    expect(duration(3600, "en")).toBe("1 hr");
    expect(duration(90_061, "en")).toBe("1 day 1 hr");
    expect(duration(90_061, "de", "long")).toBe("1 Tag 1 Stunde");
    expect(plain(milliseconds(1500, "en"))).toBe("1.5 sec");
  });
});

describe("language", () => {
  it("follows the choice, then the browser", () => {
    expect(preferred(["fr", "de-AT"], null)).toBe("de");
    expect(preferred(["de"], "en")).toBe("en");
    expect(preferred(["ja"], null)).toBe("en");
  });

  it("fills in and counts", () => {
    expect(fill("{count} file|{count} files", { count: 1 })).toBe("1 file");
    expect(fill("{count} file|{count} files", { count: 2 })).toBe("2 files");
  });

  it("names the same things in both languages", () => {
    const holes = (text: string) => [...new Set(text.match(/\{\w+\}/g) ?? [])].sort();
    for (const key of Object.keys(en) as Key[]) {
      expect(holes(de[key]), key).toEqual(holes(en[key]));
      expect(de[key].split("|").length, key).toBe(en[key].split("|").length);
    }
  });
});

describe("announcements", () => {
  it("come at tenths, and not twice", () => {
    const said: number[] = [];
    const hear = tenths((tenth) => said.push(tenth));
    for (const part of [1, 9, 10, 15, 31, 31, 100]) hear(part, 100);
    expect(said).toEqual([1, 3, 10]);
  });
});

describe("statistics", () => {
  const zero = {
    uploads: 0,
    bytes: 0,
    downloads: 0,
    verifications: 0,
    hashes: 0,
    quarantined: 0,
    types: {},
  };
  const latency = { p50_ms: null, p99_ms: null, histogram: {} };
  const at = (minute: number) => new Date(minute * 60_000).toISOString();
  const stats: Stats = {
    range: "hour",
    step_s: 60,
    totals: { ...zero, latency },
    buckets: [0, 1, 2].map((minute) => ({ ...zero, at: at(minute), latency })),
  };
  const one = (minute: number, change: Partial<Increment>): Increment => ({
    ...zero,
    at: at(minute),
    histogram: {},
    ...change,
  });

  it("adds to the right bucket and to the totals", () => {
    const next = add(stats, [
      one(1, { uploads: 2, types: { video: 2 } }),
      one(2, { hashes: 1, histogram: { 500: 1 } }),
    ]);
    expect(next.buckets.map(({ uploads }) => uploads)).toEqual([0, 2, 0]);
    expect(next.totals).toMatchObject({
      uploads: 2,
      hashes: 1,
      types: { video: 2 },
      latency: { p50_ms: 500 },
    });
  });

  it("moves the window on, keeping its length", () => {
    const next = add(stats, [one(4, { downloads: 1 })]);
    expect(next.buckets.map((bucket) => bucket.at)).toEqual([2, 3, 4].map(at));
    expect(next.totals.downloads).toBe(1);
    expect(advance(stats, 2 * 60_000 + 59_999)).toBe(stats);
  });

  it("counts minutes into the running hour", () => {
    const hours: Stats = {
      ...stats,
      range: "day",
      step_s: 3600,
      buckets: [{ ...zero, at: at(0), latency }],
    };
    expect(add(hours, [one(7, { uploads: 1 })]).buckets[0]!.uploads).toBe(1);
  });

  it("finds quantiles in a histogram", () => {
    expect(quantile({}, 0.5)).toBeNull();
    expect(quantile({ 1000: 1, 250: 99 }, 0.5)).toBe(250);
    expect(quantile({ 1000: 2, 250: 98 }, 0.99)).toBe(1000);
  });
});
