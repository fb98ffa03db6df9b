// Files as they come: dropped, pasted, picked; folders walked; handles kept where the browser gives them.
import { pathOf } from "./resume";

export interface Picked {
  file: File;
  /** With folders, `/` between the segments. */
  name: string;
  handle?: FileSystemFileHandle;
}

export function fromList(files: Iterable<File>): Picked[] {
  return [...files].map((file) => ({ file, name: pathOf(file) }));
}

/** Must be called in the event itself: the items are gone afterwards. */
export function fromTransfer(transfer: DataTransfer): Promise<Picked[]> {
  const items = [...transfer.items].filter((item) => item.kind === "file");
  const plain = fromList(transfer.files);
  const entries = items.map((item) => item.webkitGetAsEntry());
  if (!entries.some((entry) => entry?.isDirectory)) {
    const handles = items.map(fileHandle);
    return Promise.all(plain.map(async (one, index) => withHandle(one, await handles[index])));
  }
  return Promise.all(entries.map((entry) => (entry ? walk(entry) : []))).then((lists) =>
    lists.flat(),
  );
}

/** A pasted picture has no name of its own worth keeping. */
export function fromPaste(transfer: DataTransfer, stamp: string): Picked[] {
  const picked = fromList(transfer.files);
  return picked.map((one) =>
    one.name === "image.png" ? { ...one, name: `pasted-${stamp}.png` } : one,
  );
}

interface HandleItem {
  getAsFileSystemHandle?: () => Promise<FileSystemHandle | null>;
}

async function fileHandle(item: DataTransferItem): Promise<FileSystemFileHandle | undefined> {
  const handle = await (item as HandleItem).getAsFileSystemHandle?.().catch(() => null);
  return handle?.kind === "file" ? (handle as FileSystemFileHandle) : undefined;
}

function withHandle(picked: Picked, handle: FileSystemFileHandle | undefined): Picked {
  return handle ? { ...picked, handle } : picked;
}

async function walk(entry: FileSystemEntry): Promise<Picked[]> {
  const name = entry.fullPath.replace(/^\//, "");
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) =>
      (entry as FileSystemFileEntry).file(resolve, reject),
    );
    return [{ file, name }];
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const found: Picked[] = [];
  for (;;) {
    // readEntries gives at most 100 at a time, and nothing when it is through.
    const batch = await new Promise<FileSystemEntry[]>((resolve, reject) =>
      reader.readEntries(resolve, reject),
    );
    if (batch.length === 0) return found;
    for (const child of batch) found.push(...(await walk(child)));
  }
}

interface AskingHandle extends FileSystemFileHandle {
  requestPermission?: (options: { mode: "read" }) => Promise<PermissionState>;
}

/** The file behind a kept handle, if the person allows it again and it has not gone. */
export async function reopen(handle: FileSystemFileHandle): Promise<File | null> {
  try {
    const allowed =
      (await (handle as AskingHandle).requestPermission?.({ mode: "read" })) ?? "granted";
    return allowed === "granted" ? await handle.getFile() : null;
  } catch {
    return null;
  }
}
