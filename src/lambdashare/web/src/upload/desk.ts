// Collects the wishes of parts for their URLs and asks for them together.
import type { OwnedFile } from "../api/client";
import type { PartUrl } from "../api/types";
import { persist, Trouble } from "./persist";

const GATHER_MS = 12;
/** Once parts are under way there is time to gather more. */
const GATHER_BUSY_MS = 60;
const BATCH_MAX = 100;

interface Wish {
  number: number;
  sha256: string;
  resolve: (url: PartUrl) => void;
  reject: (error: unknown) => void;
}

export class UrlDesk {
  readonly #file: OwnedFile;
  readonly #signal: AbortSignal;
  readonly #ready = new Map<number, PartUrl>();
  #wishes: Wish[] = [];
  #sent = false;

  constructor(file: OwnedFile, ready: PartUrl[], signal: AbortSignal) {
    this.#file = file;
    this.#signal = signal;
    for (const url of ready) this.#ready.set(url.number, url);
  }

  /** A URL is handed out once: whoever comes back for the same part needs a fresh one. */
  url(number: number, sha256: string): Promise<PartUrl> {
    const ready = this.#ready.get(number);
    if (ready) {
      this.#ready.delete(number);
      if (Date.parse(ready.expires_at) > Date.now() + 60_000) return Promise.resolve(ready);
    }
    return new Promise((resolve, reject) => {
      this.#wishes.push({ number, sha256, resolve, reject });
      if (this.#wishes.length === 1)
        setTimeout(() => void this.#flush(), this.#sent ? GATHER_BUSY_MS : GATHER_MS);
      if (this.#wishes.length >= BATCH_MAX) void this.#flush();
    });
  }

  async #flush(): Promise<void> {
    const wishes = this.#wishes;
    this.#wishes = [];
    if (wishes.length === 0) return;
    this.#sent = true;
    const parts = wishes.map(({ number, sha256 }) => ({ number, sha256 }));
    try {
      const urls = await persist(() => this.#file.partUrls(parts, this.#signal), this.#signal);
      const byNumber = new Map(urls.map((url) => [url.number, url]));
      for (const wish of wishes) {
        const url = byNumber.get(wish.number);
        if (url) wish.resolve(url);
        else wish.reject(new Trouble("refused", `no URL for part ${wish.number}`));
      }
    } catch (error) {
      for (const wish of wishes) wish.reject(error);
    }
  }
}
