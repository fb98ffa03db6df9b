import { afterEach, describe, expect, it, vi } from "vitest";
import { Offline, type OwnedFile, Problem } from "../src/api/client";
import type { PartUrl, PartWish } from "../src/api/types";
import { UrlDesk } from "../src/upload/desk";
import { Gate } from "../src/upload/gate";
import { Pace } from "../src/upload/pace";
import { bytesOf, missing, spans, worthHashingFirst } from "../src/upload/parts";
import { asTrouble, persist, Trouble } from "../src/upload/persist";
import { delayMs, judge, wait } from "../src/upload/retry";

afterEach(() => vi.useRealTimers());

describe("parts", () => {
  it("covers a file without gap or overlap, the last part being what is left", () => {
    expect(spans(25, 10)).toEqual([
      { number: 1, start: 0, end: 10 },
      { number: 2, start: 10, end: 20 },
      { number: 3, start: 20, end: 25 },
    ]);
  });

  it("has no empty last part when the size is a multiple", () =>
    expect(spans(20, 10)).toHaveLength(2));

  it("makes one empty part of an empty file", () =>
    expect(spans(0, 10)).toEqual([{ number: 1, start: 0, end: 0 }]));

  it("knows what is left and what is done", () => {
    const done = new Map([[2, "etag"]]);
    expect(missing(spans(25, 10), done).map(({ number }) => number)).toEqual([1, 3]);
    expect(bytesOf(spans(25, 10), done)).toBe(10);
  });

  it("hashes ahead only what is quickly hashed", () => {
    expect(worthHashingFirst([5, 100, 3, 4], 10)).toEqual([0, 2]);
    expect(worthHashingFirst([1, 1, 1], 10, 2)).toEqual([0, 1]);
  });
});

describe("retry", () => {
  it("backs off exponentially with jitter, up to half a minute", () => {
    expect(delayMs(0, () => 1)).toBe(600);
    expect(delayMs(3, () => 1)).toBe(4100);
    expect(delayMs(20, () => 1)).toBe(30_100);
    expect(delayMs(20, () => 0)).toBe(100);
  });

  it("knows what may pass, what needs a fresh URL, and what never will", () => {
    expect([0, 429, 500, 503].map(judge)).toEqual(Array(4).fill("again"));
    expect(judge(403)).toBe("fresh-url");
    expect(judge(400)).toBe("changed");
    expect(judge(404)).toBe("give-up");
  });

  it("stops waiting when told to", async () => {
    const stop = new AbortController();
    const waiting = wait(60_000, stop.signal);
    stop.abort(new Error("paused"));
    await expect(waiting).rejects.toThrow("paused");
  });
});

describe("persist", () => {
  const problem = (status: number) => new Problem({ type: "x", title: "x", status });

  it("tries again after a passing failure", async () => {
    vi.useFakeTimers();
    vi.stubGlobal("navigator", { onLine: true });
    const work = vi
      .fn()
      .mockRejectedValueOnce(new Offline())
      .mockRejectedValueOnce(problem(503))
      .mockResolvedValue("ok");
    const result = persist(work, new AbortController().signal);
    await vi.runAllTimersAsync();
    expect(await result).toBe("ok");
    expect(work).toHaveBeenCalledTimes(3);
    vi.unstubAllGlobals();
  });

  it("gives up at once on what will not pass", async () => {
    const work = vi.fn().mockRejectedValue(problem(410));
    await expect(persist(work, new AbortController().signal)).rejects.toMatchObject({
      reason: "gone",
    });
    expect(work).toHaveBeenCalledTimes(1);
  });

  it("says what the matter is in terms of the sender", () => {
    expect(asTrouble(new DOMException("x", "NotReadableError"))).toMatchObject({
      reason: "changed",
    });
    expect(asTrouble(new Offline())).toMatchObject({ reason: "unreachable" });
    expect(asTrouble(problem(422))).toMatchObject({ reason: "refused" });
    const trouble = new Trouble("gone");
    expect(asTrouble(trouble)).toBe(trouble);
  });
});

describe("pace", () => {
  it("takes the first speed as it is and follows changes smoothly", () => {
    const pace = new Pace(1000);
    pace.sample(0, 0);
    pace.sample(1000, 1000);
    expect(pace.bytesPerS).toBe(1000);
    pace.sample(1000, 2000);
    expect(pace.bytesPerS).toBeCloseTo(500);
    expect(pace.etaS(1000)).toBeCloseTo(2);
  });

  it("never shows a negative speed, and no ETA before it knows one", () => {
    const pace = new Pace();
    expect(pace.etaS(10)).toBeNull();
    pace.sample(1000, 0);
    pace.sample(0, 1000);
    expect(pace.bytesPerS).toBe(0);
    expect(pace.etaS(0)).toBe(0);
  });

  it("forgets what came before a pause", () => {
    const pace = new Pace();
    pace.sample(0, 0);
    pace.sample(1000, 1000);
    pace.reset();
    pace.sample(1000, 60_000);
    expect(pace.bytesPerS).toBe(0);
  });
});

describe("gate", () => {
  it("lets so many in at once, in order, and goes on after a failure", async () => {
    const gate = new Gate(2);
    const order: number[] = [];
    let inside = 0;
    let most = 0;
    const work = (n: number) =>
      gate
        .run(async () => {
          most = Math.max(most, ++inside);
          order.push(n);
          await Promise.resolve();
          inside -= 1;
          if (n === 1) throw new Error("boom");
        })
        .catch(() => {});
    await Promise.all([0, 1, 2, 3, 4].map(work));
    expect(most).toBe(2);
    expect(order).toEqual([0, 1, 2, 3, 4]);
  });
});

describe("URL desk", () => {
  const answer = (number: number): PartUrl => ({
    number,
    url: `u${number}`,
    headers: {},
    size: 1,
    expires_at: new Date(Date.now() + 3_600_000).toISOString(),
  });
  const desk = (ready: PartUrl[] = []) => {
    const asked: PartWish[][] = [];
    const file = {
      partUrls: async (parts: PartWish[]) => (
        asked.push(parts),
        parts.map(({ number }) => answer(number))
      ),
    };
    return {
      asked,
      desk: new UrlDesk(file as unknown as OwnedFile, ready, new AbortController().signal),
    };
  };

  it("asks for many parts in one call", async () => {
    const { asked, desk: it } = desk();
    const urls = await Promise.all([1, 2, 3].map((number) => it.url(number, "sum")));
    expect(urls.map(({ url }) => url)).toEqual(["u1", "u2", "u3"]);
    expect(asked).toHaveLength(1);
  });

  it("uses a URL that came with the plan, once", async () => {
    const { asked, desk: it } = desk([answer(1)]);
    await it.url(1, "sum");
    expect(asked).toHaveLength(0);
    await it.url(1, "sum");
    expect(asked).toHaveLength(1);
  });

  it("does not use one that is about to expire", async () => {
    const { asked, desk: it } = desk([{ ...answer(1), expires_at: new Date().toISOString() }]);
    await it.url(1, "sum");
    expect(asked).toHaveLength(1);
  });
});
