// One file on its way: what is known of it and what the page shows of it.
import { type Signal, signal } from "@preact/signals";
import type { PartUrl, StoredPart, UploadPlan } from "../api/types";
import { bytesOf, type Span, spans } from "./parts";
import type { Trouble } from "./persist";

export interface Item {
  readonly n: number;
  readonly name: string;
  readonly file: File;
  readonly method: "single" | "multipart";
  readonly spans: Span[];
  readonly done: Map<number, StoredPart>;
  readonly inFlight: Map<number, number>;
  /** URLs and part digests that came with the plan. */
  readonly urls: PartUrl[];
  readonly digests: Map<number, string>;
  readonly sent: Signal<number>;
  readonly hashed: Signal<number>;
  readonly sha256: Signal<string | null>;
  /** All bytes are at S3, and it has been told to put them together. */
  readonly complete: Signal<boolean>;
  readonly trouble: Signal<Trouble | null>;
}

export function newItem(plan: Omit<UploadPlan, "parts">, name: string, file: File): Item {
  return {
    n: plan.n,
    name,
    file,
    method: plan.method,
    spans: spans(file.size, plan.method === "single" ? Math.max(1, file.size) : plan.part_size),
    done: new Map(),
    inFlight: new Map(),
    urls: plan.urls,
    digests: new Map(),
    sent: signal(0),
    hashed: signal(0),
    sha256: signal(null),
    complete: signal(false),
    trouble: signal(null),
  };
}

export function countSent(item: Item): void {
  let bytes = bytesOf(item.spans, item.done);
  for (const loaded of item.inFlight.values()) bytes += loaded;
  item.sent.value = Math.min(bytes, item.file.size);
}
