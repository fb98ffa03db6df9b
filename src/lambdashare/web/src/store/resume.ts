// Which chosen files are the ones an interrupted upload was about. Pure.

export interface FileRecord {
  n: number;
  name: string;
  size: number;
  modified: number;
  handle?: FileSystemFileHandle;
}

export interface ShareRecord {
  id: string;
  url: string;
  token: string;
  createdAt: string;
  expiresAt: string;
  /** All bytes are there: nothing left to resume, the record keeps only the owner's token. */
  sent: boolean;
  files: FileRecord[];
}

export interface Candidate {
  name: string;
  size: number;
  lastModified: number;
  webkitRelativePath?: string;
}

/** A folder picked again carries its path, a single file only its last segment. */
export function matchFiles<F extends Candidate>(
  records: FileRecord[],
  chosen: F[],
): Map<number, F> {
  const left = new Set(chosen);
  const found = new Map<number, F>();
  for (const record of records) {
    const exact = [...left].find((file) => same(record, file) && pathOf(file) === record.name);
    const match =
      exact ?? [...left].find((file) => same(record, file) && file.name === baseName(record.name));
    if (!match) continue;
    left.delete(match);
    found.set(record.n, match);
  }
  return found;
}

function same(record: FileRecord, file: Candidate): boolean {
  return record.size === file.size && record.modified === file.lastModified;
}

export function pathOf(file: Candidate): string {
  return file.webkitRelativePath || file.name;
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}
