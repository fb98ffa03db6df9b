// When to try again, and after how long. Pure but for the waiting itself.

export const ATTEMPTS_MAX = 10;

export type Verdict = "again" | "fresh-url" | "changed" | "give-up";

/** What an answer of S3 to a part means; status 0 is a broken connection. */
export function judge(status: number): Verdict {
  if (status === 403) return "fresh-url"; // expired, or the role's credentials behind it have gone
  if (status === 400) return "changed"; // BadDigest: the file is not what was hashed a moment ago
  if (status === 0 || status === 408 || status === 409 || status === 429 || status >= 500)
    return "again";
  return "give-up";
}

/** Exponential back-off with full jitter, in milliseconds; `attempt` counts from 0. */
export function delayMs(attempt: number, random: () => number = Math.random): number {
  const ceiling = Math.min(30_000, 500 * 2 ** attempt);
  return Math.round(100 + random() * ceiling);
}

export function wait(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", abort, { once: true });
    function done() {
      signal.removeEventListener("abort", abort);
      resolve();
    }
    function abort() {
      clearTimeout(timer);
      reject(signal.reason);
    }
  });
}

/** Waits until the browser believes in a network again: no attempt is wasted on a dead one. */
export function online(signal: AbortSignal): Promise<void> {
  if (navigator.onLine) return Promise.resolve();
  return new Promise((resolve, reject) => {
    addEventListener("online", () => resolve(), { once: true, signal });
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}
