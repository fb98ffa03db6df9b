// The numbers as they move: a snapshot, then increments over the WebSocket.
import { type Signal, signal } from "@preact/signals";
import { api } from "../api/client";
import type { Increment, Range, Stats } from "../api/types";
import { live } from "../live/socket";
import { add, advance } from "./series";

const TICK_MS = 1000;
/** Now and then the snapshot is taken anew, so that what was missed in between does not stay missed. */
const REFRESH_MS = 5 * 60_000;

export interface Feed {
  stats: Signal<Stats | null>;
  trouble: Signal<string>;
  stop: () => void;
}

export function feed(range: Range): Feed {
  const stats = signal<Stats | null>(null);
  const trouble = signal("");
  let stopped = false;

  async function load(): Promise<void> {
    try {
      const snapshot = await api.stats(range);
      if (stopped) return;
      stats.value = snapshot;
      trouble.value = "";
    } catch (error) {
      trouble.value = (error as Error).message;
    }
  }
  const take = (increments: Increment[]) => {
    const now = stats.peek();
    if (now && increments.length > 0) stats.value = add(now, increments);
  };
  const unsubscribe = live.subscribe("stats", (message) => {
    if (message.type === "subscribed") void load();
    if (message.type === "stats") take(message.buckets);
  });
  void load(); // the charts need not wait for the connection
  const tick = setInterval(() => {
    const now = stats.peek();
    if (now) stats.value = advance(now, Date.now());
  }, TICK_MS);
  const refresh = setInterval(() => void load(), REFRESH_MS);
  return {
    stats,
    trouble,
    stop: () => {
      stopped = true;
      unsubscribe();
      clearInterval(tick);
      clearInterval(refresh);
    },
  };
}
