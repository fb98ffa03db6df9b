// What a hashing Worker does, incrementally: memory stays flat however large the file.
import type { IHasher } from "hash-wasm";
import type { Algorithm, Digests } from "../api/types";
import type { News, Order } from "./protocol";

export type Makers = Partial<Record<Algorithm, () => Promise<IHasher>>>;

const BLOCK = 4 << 20;

interface Run {
  hashers: [Algorithm, IHasher][];
  bytes: number;
}

/** Blobs and streams are handled in the order in which they came: one chain of promises. */
export function serve(makers: Makers): void {
  const runs = new Map<number, Run>();
  let last: Promise<void> = Promise.resolve();
  self.onmessage = (event: MessageEvent<Order>) => {
    const order = event.data;
    last = last
      .then(() => obey(makers, runs, order))
      .catch((error: unknown) => {
        runs.delete(order.id);
        tell({
          kind: "failed",
          id: order.id,
          message: error instanceof Error ? error.name : String(error),
        });
      });
  };
}

async function obey(makers: Makers, runs: Map<number, Run>, order: Order): Promise<void> {
  if (order.kind === "blob")
    return hashBlob(order.id, order.blob, await open(makers, order.algorithms));
  if (order.kind === "open") {
    runs.set(order.id, await open(makers, order.algorithms));
    return;
  }
  const run = runs.get(order.id);
  if (!run) return;
  if (order.kind === "chunk") {
    feed(run, order.bytes);
    tell({ kind: "progress", id: order.id, bytes: run.bytes });
  } else {
    runs.delete(order.id);
    tell({ kind: "done", id: order.id, digests: digests(run) });
  }
}

async function hashBlob(id: number, blob: Blob, run: Run): Promise<void> {
  const read = (start: number) => blob.slice(start, start + BLOCK).arrayBuffer();
  let next = read(0);
  for (let start = 0; start < blob.size; start += BLOCK) {
    const block = await next;
    next = read(start + BLOCK); // the disk reads ahead while the sums are made
    feed(run, new Uint8Array(block));
    tell({ kind: "progress", id, bytes: run.bytes });
  }
  tell({ kind: "done", id, digests: digests(run) });
}

async function open(makers: Makers, algorithms: Algorithm[]): Promise<Run> {
  const hashers = await Promise.all(
    algorithms.map(async (name): Promise<[Algorithm, IHasher]> => [
      name,
      (await makers[name]!()).init(),
    ]),
  );
  return { hashers, bytes: 0 };
}

function feed(run: Run, bytes: Uint8Array): void {
  for (const [, hasher] of run.hashers) hasher.update(bytes);
  run.bytes += bytes.length;
}

function digests(run: Run): Digests {
  return Object.fromEntries(run.hashers.map(([name, hasher]) => [name, hasher.digest("hex")]));
}

function tell(news: News): void {
  self.postMessage(news);
}
