// Which bytes of a file make which part, and which of them are still to be sent. Pure.

export interface Span {
  number: number;
  start: number;
  end: number;
}

/** The parts of a file in order; an empty file is one empty part. */
export function spans(size: number, partSize: number): Span[] {
  const count = Math.max(1, Math.ceil(size / partSize));
  return Array.from({ length: count }, (_, index) => ({
    number: index + 1,
    start: index * partSize,
    end: Math.min(size, (index + 1) * partSize),
  }));
}

export function missing(all: Span[], done: ReadonlyMap<number, unknown>): Span[] {
  return all.filter((span) => !done.has(span.number));
}

export function bytesOf(all: Span[], done: ReadonlyMap<number, unknown>): number {
  return all.reduce((sum, span) => sum + (done.has(span.number) ? span.end - span.start : 0), 0);
}

/** Small first parts whose digests may travel with the request that makes the share: one round trip less. */
export function worthHashingFirst(
  sizes: number[],
  budgetBytes = 16 << 20,
  countMax = 100,
): number[] {
  const chosen: number[] = [];
  let left = budgetBytes;
  for (const [index, size] of sizes.entries()) {
    if (size > left || chosen.length >= countMax) continue;
    left -= size;
    chosen.push(index);
  }
  return chosen;
}
