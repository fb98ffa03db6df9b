// Saves a download while hashing it: a file that is not what was sent never gets its name.
import { api } from "../api/client";
import type { SharedFile } from "../api/types";
import { Hasher, type HashStream } from "../hash/hasher";

const AHEAD_MAX = 64 << 20;

interface PickerWindow {
  showSaveFilePicker?: (options: { suggestedName: string }) => Promise<FileSystemFileHandle>;
}

export const canSave = (): boolean => "showSaveFilePicker" in window;

/** True when what arrived has the wanted SHA-256. The click that called this opens the picker. */
export async function saveVerified(
  file: SharedFile,
  wanted: string,
  onBytes: (bytes: number) => void,
  signal: AbortSignal,
): Promise<boolean> {
  const suggestedName = file.name.slice(file.name.lastIndexOf("/") + 1);
  const handle = await (window as PickerWindow).showSaveFilePicker!({ suggestedName });
  // What is written here goes to a temporary file until close().
  const target = await handle.createWritable();
  const hasher = new Hasher();
  try {
    const response = await fetch(file.url, { signal });
    if (!response.ok || !response.body) throw new Error(`download: ${response.status}`);
    const hash = pacedHash(hasher);
    await copy(response.body, target, hash, onBytes);
    const { sha256 } = await hash.end();
    if (sha256 === wanted) await target.close();
    else await target.abort();
    return sha256 === wanted;
  } catch (error) {
    await target.abort().catch(() => {});
    throw error;
  } finally {
    hasher.stop();
  }
}

type PacedHash = HashStream & { caughtUp: () => Promise<void> };

/** A fast network must not pile up what the Worker has yet to hash. */
function pacedHash(hasher: Hasher): PacedHash {
  let written = 0;
  let hashed = 0;
  let wake = () => {};
  const stream = hasher.stream(["sha256"], (bytes) => {
    hashed = bytes;
    if (written - hashed <= AHEAD_MAX) wake();
  });
  return {
    end: stream.end,
    write: (bytes) => {
      written += bytes.length;
      stream.write(bytes);
    },
    caughtUp: () =>
      written - hashed <= AHEAD_MAX
        ? Promise.resolve()
        : new Promise<void>((resolve) => (wake = resolve)),
  };
}

async function copy(
  from: ReadableStream<Uint8Array<ArrayBuffer>>,
  to: FileSystemWritableFileStream,
  hash: PacedHash,
  onBytes: (bytes: number) => void,
): Promise<void> {
  const reader = from.getReader();
  for (let bytes = 0; ;) {
    const { done, value } = await reader.read();
    if (done) return;
    hash.write(value);
    await to.write(value);
    await hash.caughtUp();
    onBytes((bytes += value.length));
  }
}

/** Counted, so that the sender learns that a copy arrived intact; not worth an error of its own. */
export function report(shareId: string, n: number, sha256: string): void {
  void api.verification(shareId, n, sha256).catch(() => {});
}
