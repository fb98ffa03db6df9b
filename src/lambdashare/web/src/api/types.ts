// What the JSON API and the WebSocket say, as docs/api.md has it.

export const ALGORITHMS = [
  "sha256",
  "blake3",
  "sha512",
  "sha1",
  "md5",
  "crc64nvme",
  "crc32",
] as const;
export type Algorithm = (typeof ALGORITHMS)[number];
export type Digests = Partial<Record<Algorithm, string>>;

export type Phase = "uploading" | "storing" | "hashing" | "hashed" | "verified" | "quarantined";

export interface StorageWitness {
  algorithm: string;
  kind: "full" | "composite";
  value: string;
  agrees: boolean | null;
}

export interface Witnesses {
  browser: string | null;
  storage: StorageWitness | null;
  function: string | null;
}

export interface SharedFile {
  n: number;
  name: string;
  size: number | null;
  type: string;
  phase: Phase;
  url: string;
  downloads: number;
  verifications: number;
  hashed_bytes: number | null;
  digests: Digests;
  witnesses: Witnesses;
  stored_at: string | null;
  hashed_at: string | null;
  hash_latency_ms: number | null;
}

export interface Share {
  id: string;
  url: string;
  phase: Phase;
  created_at: string;
  expires_at: string;
  max_downloads: number | null;
  listed: boolean;
  size: number | null;
  files: SharedFile[];
}

export interface FileWish {
  name: string;
  size: number;
  type?: string;
  parts?: PartWish[];
}

export interface ShareWish {
  files: FileWish[];
  expires_in_s: number;
  max_downloads: number | null;
  listed: boolean;
}

export interface PartWish {
  number: number;
  sha256?: string;
}

export interface PartUrl {
  number: number;
  url: string;
  headers: Record<string, string>;
  size: number;
  expires_at: string;
}

export interface UploadPlan {
  n: number;
  method: "single" | "multipart";
  part_size: number;
  parts: number;
  urls: PartUrl[];
}

export type NewShare = Share & { owner_token: string; uploads: UploadPlan[] };

export interface StoredPart {
  number: number;
  etag: string;
  sha256?: string | null;
  size?: number;
}

export interface StoredParts {
  method: "single" | "multipart";
  part_size: number;
  count: number;
  phase: Phase;
  parts: StoredPart[];
  next: number | null;
}

export interface SharePatch {
  expires_in_s?: number;
  max_downloads?: number | null;
  listed?: boolean;
}

export interface HashMatch {
  digest: string;
  algorithms: string[];
  size: number;
  digests: Digests;
  files: HashFile[];
}

export interface HashFile {
  share: string;
  n: number;
  name: string;
  size: number;
  type: string;
  url: string;
  share_url: string;
  expires_at: string;
}

export interface Tombstone {
  digest?: string;
  algorithm?: string;
  size?: number | null;
  /** Of a share. */
  files?: { size: number | null }[];
  created_at?: string;
  expired_at?: string;
}

export interface ProblemBody {
  type: string;
  title: string;
  status: number;
  detail?: string;
  instance?: string;
  tombstone?: Tombstone | null;
  missing?: number[];
  errors?: { pointer: string; detail: string }[];
}

export type Range = "hour" | "day" | "month";

export interface Counts {
  uploads: number;
  bytes: number;
  downloads: number;
  verifications: number;
  hashes: number;
  quarantined: number;
  types: Record<string, number>;
}

export type Histogram = Record<string, number>;

export interface Latency {
  p50_ms: number | null;
  p99_ms: number | null;
  histogram: Histogram;
}

export type Bucket = Counts & { at: string; latency: Latency };
export type Increment = Counts & { at: string; histogram: Histogram };

export interface Stats {
  range: Range;
  step_s: number;
  buckets: Bucket[];
  totals: Counts & { latency: Latency };
}

export type LiveMessage =
  | { type: "subscribed"; topic: string; share?: Share }
  | { type: "unsubscribed"; topic: string }
  | { type: "pong" }
  | {
      type: "progress";
      topic: string;
      n: number;
      hashed_bytes: number;
      size: number;
      bytes_per_s: number;
    }
  | { type: "file"; topic: string; file: SharedFile }
  | { type: "counts"; topic: string; n: number; downloads: number; verifications: number }
  | { type: "share"; topic: string; share: Share }
  | { type: "gone"; topic: string; reason: "expired" | "deleted" }
  | { type: "stats"; topic: string; buckets: Increment[] }
  | {
      type: "error";
      topic?: string;
      status: number;
      title: string;
      detail: string;
      request_id?: string;
    };
