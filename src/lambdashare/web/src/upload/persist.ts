// Calls of the API that must not fail for a passing reason.
import { Offline, Problem } from "../api/client";
import { ATTEMPTS_MAX, delayMs, online, wait } from "./retry";

export type Reason = "changed" | "unreachable" | "refused" | "gone";

/** Why a file could not be sent, in terms a person can act on. */
export class Trouble extends Error {
  readonly reason: Reason;

  constructor(reason: Reason, detail = "") {
    super(detail || reason);
    this.name = "Trouble";
    this.reason = reason;
  }
}

export async function persist<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
  for (let attempt = 0; ; attempt += 1) {
    signal.throwIfAborted();
    try {
      return await work();
    } catch (error) {
      signal.throwIfAborted();
      if (!passing(error) || attempt + 1 >= ATTEMPTS_MAX) throw asTrouble(error);
      await online(signal);
      await wait(delayMs(attempt), signal);
    }
  }
}

function passing(error: unknown): boolean {
  if (error instanceof Offline) return true;
  return error instanceof Problem && (error.status === 429 || error.status >= 500);
}

export function asTrouble(error: unknown): unknown {
  if (error instanceof Offline) return new Trouble("unreachable", error.message);
  if (error instanceof Problem) {
    return new Trouble(
      error.status === 404 || error.status === 410 ? "gone" : "refused",
      error.message,
    );
  }
  // NotReadableError, NotFoundError: the file under the page has moved or changed.
  if (error instanceof DOMException && error.name !== "AbortError")
    return new Trouble("changed", error.message);
  return error;
}
