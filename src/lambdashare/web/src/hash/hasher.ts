// The page's side of the hashing Worker: promises instead of messages.
import type { Algorithm, Digests } from "../api/types";
import type { News, Order } from "./protocol";

export class HashFailed extends Error {
  override name = "HashFailed";
}

interface Waiting {
  resolve: (digests: Digests) => void;
  reject: (error: unknown) => void;
  onBytes: (bytes: number) => void;
}

/** One Worker. `stop` ends it and whatever it was doing. */
export class Hasher {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting>();
  #ids = 0;

  constructor(
    worker: Worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" }),
  ) {
    this.#worker = worker;
    this.#worker.onmessage = (event: MessageEvent<News>) => this.#hear(event.data);
    this.#worker.onerror = (event) => this.#fail(new HashFailed(event.message || "worker"));
  }

  blob(
    blob: Blob,
    algorithms: Algorithm[],
    onBytes: (bytes: number) => void = () => {},
  ): Promise<Digests> {
    const id = ++this.#ids;
    return this.#ask(id, { kind: "blob", id, blob, algorithms }, onBytes);
  }

  /** For bytes that arrive over the network. */
  stream(algorithms: Algorithm[], onBytes: (bytes: number) => void = () => {}): HashStream {
    const id = ++this.#ids;
    const done = this.#ask(id, { kind: "open", id, algorithms }, onBytes);
    return {
      write: (bytes) => this.#worker.postMessage({ kind: "chunk", id, bytes } satisfies Order),
      end: () => {
        this.#worker.postMessage({ kind: "close", id } satisfies Order);
        return done;
      },
    };
  }

  stop(): void {
    this.#worker.terminate();
    this.#fail(new DOMException("stopped", "AbortError"));
  }

  #ask(id: number, order: Order, onBytes: (bytes: number) => void): Promise<Digests> {
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject, onBytes });
      this.#worker.postMessage(order);
    });
  }

  #hear(news: News): void {
    const waiting = this.#waiting.get(news.id);
    if (!waiting) return;
    if (news.kind === "progress") return waiting.onBytes(news.bytes);
    this.#waiting.delete(news.id);
    if (news.kind === "done") waiting.resolve(news.digests);
    else waiting.reject(new HashFailed(news.message));
  }

  #fail(error: unknown): void {
    for (const waiting of this.#waiting.values()) waiting.reject(error);
    this.#waiting.clear();
  }
}

export interface HashStream {
  write: (bytes: Uint8Array) => void;
  end: () => Promise<Digests>;
}

// Three Workers share seven algorithms so that the slowest, not the sum, sets the time.
const GROUPS: Algorithm[][] = [
  ["sha256", "crc32"],
  ["sha512", "crc64nvme"],
  ["md5", "sha1", "blake3"],
];

/** All seven sums of one file. `onBytes` hears how far the slowest Worker has come. */
export async function allSums(
  blob: Blob,
  onBytes: (bytes: number) => void,
  signal: AbortSignal,
): Promise<Digests> {
  const hashers = GROUPS.map(
    () => new Hasher(new Worker(new URL("./worker_all.ts", import.meta.url), { type: "module" })),
  );
  const stop = () => hashers.forEach((hasher) => hasher.stop());
  signal.addEventListener("abort", stop, { once: true });
  const reached = GROUPS.map(() => 0);
  try {
    const found = await Promise.all(
      GROUPS.map((algorithms, index) =>
        hashers[index]!.blob(blob, algorithms, (bytes) => {
          reached[index] = bytes;
          onBytes(Math.min(...reached));
        }),
      ),
    );
    return Object.assign({}, ...found) as Digests;
  } finally {
    signal.removeEventListener("abort", stop);
    stop();
  }
}
