// Keeps a share up to date over the WebSocket.
import { type Signal, signal } from "@preact/signals";
import type { Share } from "../api/types";
import { type Gone, heard } from "./share";
import { live } from "./socket";

export interface Followed {
  share: Signal<Share>;
  gone: Signal<Gone | null>;
  /** Bytes per second of the hasher, by file number. */
  hashSpeed: Signal<ReadonlyMap<number, number>>;
  stop: () => void;
}

export function follow(share: Signal<Share>): Followed {
  const gone = signal<Gone | null>(null);
  const hashSpeed = signal<ReadonlyMap<number, number>>(new Map());
  const stop = live.subscribe(`share:${share.peek().id}`, (message) => {
    if (message.type === "progress") {
      hashSpeed.value = new Map(hashSpeed.peek()).set(message.n, message.bytes_per_s);
    }
    const next = heard(share.peek(), message);
    if (typeof next === "string") gone.value = next;
    else share.value = next;
  });
  return { share, gone, hashSpeed, stop };
}
