// Sends one file's parts: hash ahead, ask for URLs, PUT, retry, complete.
import { type OwnedFile, Problem } from "../api/client";
import type { PartUrl, StoredPart } from "../api/types";
import type { Hasher } from "../hash/hasher";
import { partDigest } from "../hash/part";
import { UrlDesk } from "./desk";
import { Gate } from "./gate";
import { countSent, type Item } from "./item";
import { missing, type Span } from "./parts";
import { asTrouble, persist, Trouble } from "./persist";
import { type Put, put } from "./put";
import { ATTEMPTS_MAX, delayMs, judge, online, wait } from "./retry";

/** Shared by all files of a transfer, so that ten files are no greedier than one. */
export interface Lanes {
  /** Files hand out their parts one after the other: the first is done first. */
  turn: Gate;
  /** Parts between hashing and the end of their PUT. */
  window: Gate;
  hashing: Gate;
  /** Browsers open six connections to a host; one stays free for the API. */
  sending: Gate;
}

export const lanes = (): Lanes => ({
  turn: new Gate(1),
  window: new Gate(12),
  hashing: new Gate(2),
  sending: new Gate(5),
});

const COMPLETE_ROUNDS_MAX = 3;

/** Resolves when all of the file is at S3; rejects with Trouble, or with the signal's reason. */
export async function sendItem(
  item: Item,
  api: OwnedFile,
  shared: Lanes,
  hasher: () => Hasher,
  stop: AbortSignal,
) {
  for (let round = 0; ; round += 1) {
    await sendMissing(item, api, shared, hasher, stop);
    if (await complete(item, api, stop)) break;
    if (round + 1 >= COMPLETE_ROUNDS_MAX) throw new Trouble("refused");
  }
  item.complete.value = true;
}

async function sendMissing(
  item: Item,
  api: OwnedFile,
  shared: Lanes,
  hasher: () => Hasher,
  stop: AbortSignal,
) {
  const failed = new AbortController();
  const signal = AbortSignal.any([stop, failed.signal]);
  const desk = new UrlDesk(api, item.urls.splice(0), signal);
  const running: Promise<void>[] = [];
  const start = (span: Span) =>
    sendPart({ item, span, desk, shared, hasher, signal })
      .catch((error: unknown) => failed.abort(asTrouble(error)))
      .finally(() => shared.window.leave());
  await shared.turn.run(async () => {
    for (const span of missing(item.spans, item.done)) {
      await shared.window.enter();
      if (signal.aborted) return shared.window.leave();
      running.push(start(span));
    }
  });
  await Promise.all(running);
  signal.throwIfAborted();
}

interface PartJob {
  item: Item;
  span: Span;
  desk: UrlDesk;
  shared: Lanes;
  hasher: () => Hasher;
  signal: AbortSignal;
}

async function sendPart(job: PartJob): Promise<void> {
  const { item, span, desk, shared, signal } = job;
  const part = item.file.slice(span.start, span.end);
  const sha256 =
    item.digests.get(span.number) ?? (await shared.hashing.run(() => partDigest(part, job.hasher)));
  let url = await desk.url(span.number, sha256);
  for (let attempt = 0; ; attempt += 1) {
    signal.throwIfAborted();
    const answer = await shared.sending.run(() => putCounted(item, span, url, part, signal));
    if (answer.status >= 200 && answer.status < 300) {
      return keep(item, { number: span.number, etag: answer.etag ?? "", sha256 });
    }
    const verdict = judge(answer.status);
    if (verdict === "changed") throw new Trouble("changed");
    if (verdict === "give-up")
      throw new Trouble(answer.status === 404 ? "gone" : "refused", `S3: ${answer.status}`);
    if (attempt + 1 >= ATTEMPTS_MAX) throw new Trouble("unreachable", `S3: ${answer.status}`);
    await online(signal);
    await wait(delayMs(attempt), signal);
    if (verdict === "fresh-url") url = await desk.url(span.number, sha256);
  }
}

async function putCounted(
  item: Item,
  span: Span,
  url: PartUrl,
  part: Blob,
  signal: AbortSignal,
): Promise<Put> {
  const count = (bytes: number) => {
    item.inFlight.set(span.number, bytes);
    countSent(item);
  };
  try {
    return await put(url, part, count, signal);
  } finally {
    item.inFlight.delete(span.number);
  }
}

function keep(item: Item, part: StoredPart): void {
  item.done.set(part.number, part);
  countSent(item);
}

/** False when S3 lacks parts after all: they are forgotten here, to be sent again. */
async function complete(item: Item, api: OwnedFile, stop: AbortSignal): Promise<boolean> {
  if (item.method === "single") return true; // the S3 event says it all
  const parts = [...item.done.values()].sort((a, b) => a.number - b.number);
  // Without ETags (hidden by CORS) S3's own list has to do.
  const listed = parts.every((part) => part.etag)
    ? parts.map(({ size: _, ...part }) => part)
    : null;
  try {
    await persist(() => guarded(api, listed), stop);
    return true;
  } catch (error) {
    if (!(error instanceof MissingParts)) throw error;
    for (const number of error.numbers) item.done.delete(number);
    countSent(item);
    return false;
  }
}

class MissingParts extends Error {
  readonly numbers: number[];

  constructor(numbers: number[]) {
    super("parts missing");
    this.numbers = numbers;
  }
}

async function guarded(api: OwnedFile, parts: StoredPart[] | null): Promise<void> {
  try {
    await api.complete(parts);
  } catch (error) {
    const conflict = error instanceof Problem && error.status === 409;
    if (!conflict) throw error;
    const numbers = error.body.missing ?? [];
    if (numbers.length > 0) throw new MissingParts(numbers);
    // In another phase: it had been completed before a reload.
  }
}
