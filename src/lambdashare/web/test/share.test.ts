import { describe, expect, it } from "vitest";
import type { LiveMessage, Share, SharedFile } from "../src/api/types";
import {
  fragmentDigests,
  hexToBase64,
  linkWithDigests,
  looksLikeDigest,
} from "../src/hash/encoding";
import { heard, leastAdvanced } from "../src/live/share";
import { matchFiles } from "../src/store/resume";

const file = (n: number, change: Partial<SharedFile> = {}): SharedFile => ({
  n,
  name: `f${n}`,
  size: 100,
  type: "text/plain",
  phase: "uploading",
  url: "",
  downloads: 0,
  verifications: 0,
  hashed_bytes: 0,
  digests: {},
  witnesses: { browser: null, storage: null, function: null },
  stored_at: null,
  hashed_at: null,
  hash_latency_ms: null,
  ...change,
});
const share = (...files: SharedFile[]): Share => ({
  id: "i",
  url: "https://host/s/i",
  phase: leastAdvanced(files.map((one) => one.phase)),
  created_at: "",
  expires_at: "",
  max_downloads: null,
  listed: true,
  size: 100,
  files,
});

describe("what is heard of a share", () => {
  const topic = "share:i";

  it("moves a file to hashing when progress comes first", () => {
    const next = heard(share(file(1)), {
      type: "progress",
      topic,
      n: 1,
      hashed_bytes: 10,
      size: 100,
      bytes_per_s: 1,
    }) as Share;
    expect(next.files[0]).toMatchObject({ phase: "hashing", hashed_bytes: 10 });
  });

  it("keeps what is newer when two functions tell of a file at once", () => {
    const sums = { hashed_at: "2026-11-23T15:19:40.726Z" };
    const verified = share(file(1, { ...sums, phase: "verified" }));
    const late = file(1, { ...sums, phase: "hashed" });
    expect(heard(verified, { type: "file", topic, file: late })).toEqual(verified);
    const reply = { type: "subscribed", topic, share: share(file(1, { phase: "hashing" })) };
    expect((heard(verified, reply as LiveMessage) as Share).phase).toBe("verified");
    const again = file(1, { hashed_at: "2026-11-23T15:19:41.000Z", phase: "hashed" });
    const next = heard(verified, { type: "file", topic, file: again }) as Share;
    expect(next.files[0]).toBe(again);
    const wrong = file(1, { ...sums, phase: "quarantined" });
    expect((heard(verified, { type: "file", topic, file: wrong }) as Share).phase).toBe(
      "quarantined",
    );
  });

  it("never goes back: neither in bytes nor from sums to hashing", () => {
    const progress = {
      type: "progress",
      topic,
      n: 1,
      hashed_bytes: 10,
      size: 100,
      bytes_per_s: 1,
    } as const;
    expect(
      (heard(share(file(1, { phase: "hashing", hashed_bytes: 50 })), progress) as Share).files[0]!
        .hashed_bytes,
    ).toBe(50);
    expect((heard(share(file(1, { phase: "verified" })), progress) as Share).phase).toBe(
      "verified",
    );
  });

  it("is as far as its least advanced file, and quarantined if one is", () => {
    const next = heard(share(file(1), file(2)), {
      type: "file",
      topic,
      file: file(1, { phase: "verified" }),
    }) as Share;
    expect(next.phase).toBe("uploading");
    expect(leastAdvanced(["verified", "quarantined"])).toBe("quarantined");
  });

  it("counts up, whatever comes late", () => {
    const count = (downloads: number, verifications: number) => ({
      type: "counts" as const,
      topic,
      n: 1,
      downloads,
      verifications,
    });
    const now = heard(share(file(1), file(2)), count(2, 1)) as Share;
    expect(now.files.map((one) => [one.downloads, one.verifications])).toEqual([
      [2, 1],
      [0, 0],
    ]);
    expect(heard(now, count(1, 0))).toEqual(now);
  });

  it("takes the state that comes with a subscription, and says when it is gone", () => {
    const fresh = share(file(1, { phase: "hashed" }));
    expect(heard(share(file(1)), { type: "subscribed", topic, share: fresh })).toEqual(fresh);
    expect(heard(fresh, { type: "gone", topic, reason: "expired" })).toBe("expired");
    expect(heard(fresh, { type: "pong" })).toBe(fresh);
  });
});

describe("digests in links", () => {
  const [a, b] = ["a".repeat(64), "b".repeat(64)];

  it("reads one and several", () => {
    expect([...fragmentDigests(`#sha256=${a.toUpperCase()}`)]).toEqual([[1, a]]);
    expect([...fragmentDigests(`#sha256=${a}&sha256.2=${b}`)]).toEqual([
      [1, a],
      [2, b],
    ]);
  });

  it("ignores what is no digest", () => expect(fragmentDigests("#sha256=abc&top").size).toBe(0));

  it("writes what it reads, once all files are hashed, and not for too many", () => {
    const digests = new Map([
      [2, b],
      [1, a],
    ]);
    expect(linkWithDigests("u", digests, 2)).toBe(`u#sha256=${a}&sha256.2=${b}`);
    expect(linkWithDigests("u", new Map([[1, a]]), 2)).toBe("u");
    expect(linkWithDigests("u", new Map(Array.from({ length: 9 }, (_, n) => [n + 1, a])), 9)).toBe(
      "u",
    );
  });

  it("turns hex into what S3 wants", () => expect(hexToBase64("00ff10")).toBe("AP8Q"));

  it("tells a digest from a typing error", () => {
    for (const good of [
      a,
      "deadbeef",
      "0123456789ab",
      ` ${a} `,
      "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=",
      "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0",
      "3q2+7w==",
    ])
      expect(looksLikeDigest(good)).toBe(true);
    for (const bad of ["", "xyz", "abc", "zz!", "nohash", "elevenchars", "a".repeat(129)])
      expect(looksLikeDigest(bad)).toBe(false);
  });
});

describe("resuming", () => {
  const records = [
    { n: 1, name: "a/x.txt", size: 5, modified: 7 },
    { n: 2, name: "y.txt", size: 5, modified: 7 },
  ];
  const chosen = (name: string, change = {}) => ({ name, size: 5, lastModified: 7, ...change });

  it("finds files by name, size and date, with or without their folder", () => {
    const folder = chosen("x.txt", { webkitRelativePath: "a/x.txt" });
    expect(matchFiles(records, [folder]).get(1)).toBe(folder);
    expect([...matchFiles(records, [chosen("y.txt"), chosen("x.txt")]).keys()]).toEqual([1, 2]);
  });

  it("takes no file that has changed", () => {
    expect(
      matchFiles(records, [chosen("y.txt", { size: 6 }), chosen("x.txt", { lastModified: 8 })])
        .size,
    ).toBe(0);
  });

  it("gives one file to one record only", () => {
    const twins = [
      { n: 1, name: "a/x", size: 5, modified: 7 },
      { n: 2, name: "b/x", size: 5, modified: 7 },
    ];
    expect(matchFiles(twins, [chosen("x")]).size).toBe(1);
  });
});
