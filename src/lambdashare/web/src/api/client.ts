// The JSON API under /v1. Every failure is a Problem (RFC 9457) or Offline.
import type {
  HashMatch,
  NewShare,
  PartUrl,
  PartWish,
  ProblemBody,
  Range,
  Share,
  SharedFile,
  SharePatch,
  ShareWish,
  Stats,
  StoredPart,
  StoredParts,
} from "./types";

export class Problem extends Error {
  readonly body: ProblemBody;

  constructor(body: ProblemBody) {
    super(body.detail ?? body.title);
    this.name = "Problem";
    this.body = body;
  }

  get status(): number {
    return this.body.status;
  }

  get kind(): string {
    return this.body.type.split(":").pop() ?? "";
  }
}

/** No answer came at all: no network, or the server is not there. */
export class Offline extends Error {
  override name = "Offline";
}

interface Ask {
  method?: string;
  body?: unknown;
  token?: string;
  signal?: AbortSignal;
}

export const api = {
  createShare: (wish: ShareWish) => ask<NewShare>("/v1/shares", { method: "POST", body: wish }),
  share: (id: string) => ask<Share>(`/v1/shares/${id}`),
  patchShare: (id: string, token: string, body: SharePatch) =>
    ask<Share>(`/v1/shares/${id}`, { method: "PATCH", token, body }),
  deleteShare: (id: string, token: string) =>
    ask<null>(`/v1/shares/${id}`, { method: "DELETE", token }),
  hash: (digest: string) => ask<HashMatch>(`/v1/hashes/${encodeURIComponent(digest)}`),
  stats: (range: Range) => ask<Stats>(`/v1/stats?range=${range}`),
  verification: (id: string, n: number, sha256: string) =>
    ask<{ match: boolean }>(`/v1/shares/${id}/files/${n}/verifications`, {
      method: "POST",
      body: { sha256 },
    }),
};

/** What only the sender may do with one file of a share. */
export function ownedFile(id: string, n: number, token: string) {
  const path = `/v1/shares/${id}/files/${n}`;
  const post = <T>(tail: string, body: unknown, signal?: AbortSignal) =>
    ask<T>(`${path}/${tail}`, { method: "POST", token, body, ...(signal ? { signal } : {}) });
  return {
    partUrls: (parts: PartWish[], signal?: AbortSignal) =>
      post<{ urls: PartUrl[] }>("parts", { parts }, signal).then((answer) => answer.urls),
    storedParts: (after: number | null) =>
      ask<StoredParts>(`${path}/parts${after === null ? "" : `?after=${after}`}`, { token }),
    complete: (parts: StoredPart[] | null) => post<SharedFile>("complete", parts ? { parts } : {}),
    digest: (sha256: string) => post<SharedFile>("digest", { sha256 }),
  };
}

export type OwnedFile = ReturnType<typeof ownedFile>;

async function ask<T>(path: string, { method = "GET", body, token, signal }: Ask = {}): Promise<T> {
  const headers: Record<string, string> = { Accept: "application/json" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (token) headers.Authorization = `Bearer ${token}`;
  const init: RequestInit = { method, headers };
  if (body !== undefined) init.body = JSON.stringify(body);
  if (signal) init.signal = signal;
  const response = await fetch(path, init).catch((error: unknown) => {
    if (signal?.aborted) throw error;
    throw new Offline(String(error));
  });
  if (!response.ok) throw new Problem(await problemBody(response));
  return (response.status === 204 ? null : await response.json()) as T;
}

async function problemBody(response: Response): Promise<ProblemBody> {
  const fallback: ProblemBody = {
    type: "about:blank",
    title: response.statusText,
    status: response.status,
  };
  try {
    return { ...fallback, ...((await response.json()) as Partial<ProblemBody>) };
  } catch {
    return fallback;
  }
}
