// One share being sent: files in order, pause, resume, cancel, and the browser's own sums beside it.
import { batch, computed, type Signal, signal } from "@preact/signals";
import { api, ownedFile, Problem } from "../api/client";
import type { Share } from "../api/types";
import { Hasher } from "../hash/hasher";
import { linkWithDigests } from "../hash/encoding";
import { follow, type Followed } from "../live/follow";
import { markSent, removeRecord } from "../store/shares";
import type { Item } from "./item";
import { Pace } from "./pace";
import { asTrouble, persist, Trouble } from "./persist";
import { lanes, sendItem } from "./sender";

export type State = "sending" | "paused" | "failed" | "sent" | "cancelled";

const SAMPLE_MS = 500;

export class Transfer {
  readonly id: string;
  readonly token: string;
  readonly items: Item[];
  readonly share: Signal<Share>;
  readonly live: Followed;
  readonly state = signal<State>("sending");
  readonly bytesPerS = signal(0);
  readonly etaS = signal<number | null>(null);
  readonly size: number;
  readonly sent = computed(() => this.items.reduce((sum, item) => sum + item.sent.value, 0));
  readonly link = computed(() =>
    linkWithDigests(this.share.value.url, this.#digests(), this.share.value.files.length),
  );

  #stop = new AbortController();
  readonly #gone = new AbortController();
  readonly #pace = new Pace();
  #hasher: Hasher | null = null;
  #partHasher: Hasher | null = null;

  constructor(share: Share, token: string, items: Item[]) {
    this.id = share.id;
    this.token = token;
    this.items = items;
    this.size = items.reduce((sum, item) => sum + item.file.size, 0);
    this.share = signal(share);
    this.live = follow(this.share);
  }

  start(): void {
    void this.#send();
    void this.#hash();
  }

  pause(): void {
    if (this.state.peek() !== "sending") return;
    this.state.value = "paused";
    this.#stop.abort(new DOMException("paused", "AbortError"));
  }

  resume(): void {
    if (this.state.peek() !== "paused" && this.state.peek() !== "failed") return;
    this.#stop = new AbortController();
    for (const item of this.items) item.trouble.value = null;
    void this.#send();
  }

  /** Takes the share back: nothing stays, neither here nor there; said when it is so. */
  async cancel(): Promise<void> {
    this.#stop.abort(new DOMException("cancelled", "AbortError"));
    this.#gone.abort(new DOMException("cancelled", "AbortError"));
    this.#hasher?.stop();
    this.live.stop();
    try {
      await api.deleteShare(this.id, this.token);
    } catch (error) {
      this.state.value = "failed";
      throw error;
    }
    this.state.value = "cancelled";
    await removeRecord(this.id);
  }

  async #send(): Promise<void> {
    this.state.value = "sending";
    const stop = this.#stop;
    this.#pace.reset();
    const timer = setInterval(() => this.#sample(), SAMPLE_MS);
    const shared = lanes();
    const unsent = this.items.filter((item) => !item.complete.peek());
    await Promise.all(unsent.map((item) => this.#sendOne(item, shared, stop.signal)));
    clearInterval(timer);
    if (stop.signal.aborted) return;
    this.#partHasher?.stop();
    this.#partHasher = null;
    const failed = this.items.some((item) => item.trouble.peek());
    this.state.value = failed ? "failed" : "sent";
    if (!failed) await markSent(this.id);
  }

  async #sendOne(item: Item, shared: ReturnType<typeof lanes>, stop: AbortSignal): Promise<void> {
    try {
      await sendItem(
        item,
        ownedFile(this.id, item.n, this.token),
        shared,
        () => this.#parts(),
        stop,
      );
    } catch (error) {
      if (stop.aborted) return;
      const trouble = asTrouble(error);
      item.trouble.value =
        trouble instanceof Trouble ? trouble : new Trouble("refused", String(trouble));
    }
  }

  async #hash(): Promise<void> {
    const hasher = new Hasher();
    this.#hasher = hasher;
    for (const item of this.items) {
      if (this.#gone.signal.aborted) break;
      try {
        const { sha256 } = await hasher.blob(
          item.file,
          ["sha256"],
          (bytes) => (item.hashed.value = bytes),
        );
        batch(() => {
          item.hashed.value = item.file.size;
          item.sha256.value = sha256 ?? null;
        });
        await this.#testify(item, sha256!);
      } catch (error) {
        // The upload goes on: without this witness the file ends as "hashed", not as "verified".
        if (!this.#gone.signal.aborted) console.warn("own digest", item.name, error);
      }
    }
    hasher.stop();
  }

  async #testify(item: Item, sha256: string): Promise<void> {
    const file = ownedFile(this.id, item.n, this.token);
    const conflict = (error: unknown) => error instanceof Problem && error.status === 409;
    await persist(
      () =>
        file.digest(sha256).catch((error: unknown) => {
          if (!conflict(error)) throw error;
          item.trouble.value = new Trouble("changed");
        }),
      this.#gone.signal,
    );
  }

  #parts(): Hasher {
    this.#partHasher ??= new Hasher();
    return this.#partHasher;
  }

  #sample(): void {
    this.#pace.sample(this.sent.peek(), performance.now());
    batch(() => {
      this.bytesPerS.value = this.#pace.bytesPerS;
      this.etaS.value = this.#pace.etaS(this.size - this.sent.peek());
    });
  }

  #digests(): Map<number, string> {
    const found = new Map<number, string>();
    for (const file of this.share.value.files) {
      const own = this.items.find((item) => item.n === file.n)?.sha256.value;
      const digest = own ?? file.witnesses.browser;
      if (digest) found.set(file.n, digest);
    }
    return found;
  }
}
