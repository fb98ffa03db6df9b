// Hashes off the page's thread, incrementally: memory stays flat however large the file.
import {
  createBLAKE3, createCRC32, createCRC64, createMD5, createSHA1, createSHA256, createSHA512, type IHasher,
} from "hash-wasm";
import type { Algorithm, Digests } from "../api/types";
import type { News, Order } from "./protocol";

const BLOCK = 4 << 20;
const CRC64NVME_POLYNOMIAL = "9a6c9329ac4bc9b5";

const makers: Record<Algorithm, () => Promise<IHasher>> = {
  sha256: createSHA256,
  blake3: () => createBLAKE3(),
  sha512: createSHA512,
  sha1: createSHA1,
  md5: createMD5,
  crc64nvme: () => createCRC64(CRC64NVME_POLYNOMIAL),
  crc32: () => createCRC32(),
};

interface Run {
  hashers: [Algorithm, IHasher][];
  bytes: number;
}

// Blobs and streams are handled in the order in which they came: one chain of promises.
const runs = new Map<number, Run>();
let last: Promise<void> = Promise.resolve();

self.onmessage = (event: MessageEvent<Order>) => {
  const order = event.data;
  last = last
    .then(() => obey(order))
    .catch((error: unknown) => {
      runs.delete(order.id);
      tell({ kind: "failed", id: order.id, message: error instanceof Error ? error.name : String(error) });
    });
};

async function obey(order: Order): Promise<void> {
  if (order.kind === "blob") return hashBlob(order.id, order.blob, order.algorithms);
  if (order.kind === "open") {
    runs.set(order.id, await open(order.algorithms));
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

async function hashBlob(id: number, blob: Blob, algorithms: Algorithm[]): Promise<void> {
  const run = await open(algorithms);
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

async function open(algorithms: Algorithm[]): Promise<Run> {
  const hashers = await Promise.all(
    algorithms.map(async (name): Promise<[Algorithm, IHasher]> => [name, (await makers[name]()).init()]),
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
