// One PUT of one part. XMLHttpRequest, because fetch reports no upload progress.
import type { PartUrl } from "../api/types";

export interface Put {
  status: number;
  etag: string | null;
}

/** Resolves with whatever came back, status 0 for a broken connection; rejects only when aborted. */
export function put(
  to: PartUrl,
  body: Blob,
  onSent: (bytes: number) => void,
  signal: AbortSignal,
): Promise<Put> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const abort = () => request.abort();
    const end = (result: Put) => {
      signal.removeEventListener("abort", abort);
      resolve(result);
    };
    request.open("PUT", to.url);
    for (const [name, value] of Object.entries(to.headers)) request.setRequestHeader(name, value);
    request.upload.onprogress = (event) => onSent(Math.min(event.loaded, body.size));
    request.onload = () => end({ status: request.status, etag: request.getResponseHeader("ETag") });
    request.onerror = () => end({ status: 0, etag: null });
    request.ontimeout = () => end({ status: 0, etag: null });
    request.onabort = () => reject(signal.reason);
    if (signal.aborted) return reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    request.send(body);
  });
}
