// The sender's own shares, kept in this browser: owner tokens, and what is needed to go on after a reload.
import type { ShareRecord } from "./resume";

const NAME = "lambdashare";
const STORE = "shares";

export async function putRecord(record: ShareRecord): Promise<void> {
  await quietly(() => run("readwrite", (store) => store.put(record)));
}

export async function removeRecord(id: string): Promise<void> {
  await quietly(() => run("readwrite", (store) => store.delete(id)));
}

export async function record(id: string): Promise<ShareRecord | null> {
  return (
    (await quietly(() => run<ShareRecord | undefined>("readonly", (store) => store.get(id)))) ??
    null
  );
}

/** Newest first; what has expired is forgotten on the way. */
export async function records(nowMs: number): Promise<ShareRecord[]> {
  const all =
    (await quietly(() => run<ShareRecord[]>("readonly", (store) => store.getAll()))) ?? [];
  const alive = all.filter((one) => Date.parse(one.expiresAt) > nowMs);
  for (const one of all) if (!alive.includes(one)) void removeRecord(one.id);
  return alive.sort((a, b) => b.createdAt.localeCompare(a.createdAt));
}

export async function markSent(id: string): Promise<void> {
  const found = await record(id);
  if (found)
    await putRecord({
      ...found,
      sent: true,
      files: found.files.map(({ handle: _, ...file }) => file),
    });
}

// A private window or a full disk may refuse storage: the upload matters more than the memory of it.
async function quietly<T>(work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch {
    return undefined;
  }
}

async function run<T>(
  mode: IDBTransactionMode,
  work: (store: IDBObjectStore) => IDBRequest,
): Promise<T> {
  const database = await open();
  try {
    return await answer<T>(work(database.transaction(STORE, mode).objectStore(STORE)));
  } finally {
    database.close();
  }
}

function open(): Promise<IDBDatabase> {
  const request = indexedDB.open(NAME, 1);
  request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "id" });
  return answer(request);
}

function answer<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
