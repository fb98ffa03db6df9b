// What the page and the hashing Worker say to each other.
import type { Algorithm, Digests } from "../api/types";

export type Order =
  | { kind: "blob"; id: number; blob: Blob; algorithms: Algorithm[] }
  | { kind: "open"; id: number; algorithms: Algorithm[] }
  | { kind: "chunk"; id: number; bytes: Uint8Array }
  | { kind: "close"; id: number };

export type News =
  | { kind: "progress"; id: number; bytes: number }
  | { kind: "done"; id: number; digests: Digests }
  | { kind: "failed"; id: number; message: string };
