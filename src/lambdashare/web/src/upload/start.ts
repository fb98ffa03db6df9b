// How a transfer begins: from files just chosen, or from one that a reload or a crash interrupted.
import { api, ownedFile } from "../api/client";
import type { FileWish, NewShare, Share, ShareWish } from "../api/types";
import { Hasher } from "../hash/hasher";
import { partDigest } from "../hash/part";
import type { Picked } from "../store/files";
import type { FileRecord, ShareRecord } from "../store/resume";
import { putRecord } from "../store/shares";
import { countSent, type Item, newItem } from "./item";
import { worthHashingFirst } from "./parts";
import { Transfer } from "./transfer";

export interface Terms {
  expiresInS: number;
  maxDownloads: number | null;
  listed: boolean;
}

export async function startTransfer(picked: Picked[], terms: Terms): Promise<Transfer> {
  const digests = await firstDigests(picked);
  const wish: ShareWish = {
    files: picked.map((one, index) => fileWish(one, digests.get(index))),
    expires_in_s: terms.expiresInS,
    max_downloads: terms.maxDownloads,
    listed: terms.listed,
  };
  const answer = await api.createShare(wish);
  await putRecord(newRecord(answer, picked));
  const items = answer.uploads.map((plan) => {
    const { name, file } = picked[plan.n - 1]!;
    const item = newItem(plan, name, file);
    const digest = digests.get(plan.n - 1);
    if (digest) item.digests.set(1, digest);
    return item;
  });
  return begin(answer, answer.owner_token, items);
}

/** `files` by number; what S3 already has is not sent again. */
export async function resumeTransfer(
  record: ShareRecord,
  files: ReadonlyMap<number, File>,
): Promise<Transfer> {
  const share = await api.share(record.id);
  const waiting = share.files.filter((file) => file.phase === "uploading");
  const items = await Promise.all(
    waiting.flatMap(({ n, name }) => {
      const file = files.get(n);
      return file ? [resumeItem(record, n, name, file)] : [];
    }),
  );
  return begin(share, record.token, items);
}

async function resumeItem(record: ShareRecord, n: number, name: string, file: File): Promise<Item> {
  const stored = ownedFile(record.id, n, record.token);
  let page = await stored.storedParts(null);
  const item = newItem({ n, method: page.method, part_size: page.part_size, urls: [] }, name, file);
  for (;;) {
    for (const part of page.parts) item.done.set(part.number, part);
    if (page.next === null) break;
    page = await stored.storedParts(page.next);
  }
  countSent(item);
  return item;
}

function begin(share: Share, token: string, items: Item[]): Transfer {
  const transfer = new Transfer(share, token, items);
  transfer.start();
  return transfer;
}

async function firstDigests(picked: Picked[]): Promise<Map<number, string>> {
  let hasher: Hasher | null = null;
  const lazily = () => (hasher ??= new Hasher());
  const found = new Map<number, string>();
  for (const index of worthHashingFirst(picked.map(({ file }) => file.size))) {
    found.set(index, await partDigest(picked[index]!.file, lazily));
  }
  (hasher as Hasher | null)?.stop();
  return found;
}

function fileWish({ name, file }: Picked, digest: string | undefined): FileWish {
  const wish: FileWish = { name, size: file.size };
  if (file.type) wish.type = file.type;
  if (digest) wish.parts = [{ number: 1, sha256: digest }];
  return wish;
}

function newRecord(share: NewShare, picked: Picked[]): ShareRecord {
  const files = picked.map(({ name, file, handle }, index): FileRecord => ({
    n: index + 1,
    name,
    size: file.size,
    modified: file.lastModified,
    ...(handle ? { handle } : {}),
  }));
  return {
    id: share.id,
    url: share.url,
    token: share.owner_token,
    createdAt: share.created_at,
    expiresAt: share.expires_at,
    sent: false,
    files,
  };
}
