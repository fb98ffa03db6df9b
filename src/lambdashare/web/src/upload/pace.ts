// Speed that a person can read: an exponential moving average, and the time left at that speed. Pure.

export class Pace {
  readonly #halfLifeMs: number;
  #bytes = 0;
  #atMs = -1;
  #rate = 0;

  constructor(halfLifeMs = 3000) {
    this.#halfLifeMs = halfLifeMs;
  }

  /** `bytes` sent in all, at `nowMs`. A total that shrank (a part started over) is no negative speed. */
  sample(bytes: number, nowMs: number): void {
    const elapsed = nowMs - this.#atMs;
    if (this.#atMs >= 0 && elapsed > 0) {
      const now = (Math.max(0, bytes - this.#bytes) * 1000) / elapsed;
      const weight = this.#rate === 0 ? 1 : 1 - 0.5 ** (elapsed / this.#halfLifeMs);
      this.#rate += (now - this.#rate) * weight;
    }
    this.#bytes = bytes;
    this.#atMs = nowMs;
  }

  /** After a pause the old speed says nothing. */
  reset(): void {
    this.#atMs = -1;
    this.#rate = 0;
  }

  get bytesPerS(): number {
    return this.#rate;
  }

  /** Seconds left, or null while nothing can be said. */
  etaS(remaining: number): number | null {
    if (remaining <= 0) return 0;
    return this.#rate > 1 ? remaining / this.#rate : null;
  }
}
