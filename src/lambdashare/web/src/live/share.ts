// How a message changes what the page knows of a share. Pure.
import type { LiveMessage, Phase, Share, SharedFile } from "../api/types";

export type Gone = "expired" | "deleted";

const ORDER: Phase[] = ["uploading", "storing", "hashing", "hashed", "verified"];

/** The share after the message, or why it is gone. */
export function heard(share: Share, message: LiveMessage): Share | Gone {
  switch (message.type) {
    case "subscribed":
    case "share":
      return message.share ? newest(share, message.share) : share;
    case "progress":
      return withFile(share, message.n, (file) => progressed(file, message.hashed_bytes));
    case "file":
      return withFile(share, message.file.n, (file) => newer(file, message.file));
    case "counts":
      return withFile(share, message.n, (file) => ({
        ...file,
        downloads: Math.max(file.downloads, message.downloads),
        verifications: Math.max(file.verifications, message.verifications),
      }));
    case "gone":
      return message.reason;
    default:
      return share;
  }
}

export function withFile(share: Share, n: number, change: (file: SharedFile) => SharedFile): Share {
  const files = share.files.map((file) => (file.n === n ? change(file) : file));
  return { ...share, files, phase: leastAdvanced(files.map((file) => file.phase)) };
}

// Two functions may tell of a file at once, and the one that knows less may be heard last.
function newer(known: SharedFile, told: SharedFile): SharedFile {
  const [before, after] = [written(known), written(told)];
  if (after !== before) return after > before ? told : known;
  return rank(told.phase) < rank(known.phase) ? known : told;
}

function newest(known: Share, told: Share): Share {
  const files = told.files.map((file) => {
    const before = known.files.find((one) => one.n === file.n);
    return before ? newer(before, file) : file;
  });
  return { ...told, files, phase: leastAdvanced(files.map((file) => file.phase)) };
}

/** When its sums, or else its bytes, were written: another object under the name comes later. */
const written = (file: SharedFile) => file.hashed_at ?? file.stored_at ?? "";

const rank = (phase: Phase) => (phase === "quarantined" ? ORDER.length : ORDER.indexOf(phase));

// Progress may overtake the change of phase, or come after the sums: it moves a file forward, never back.
function progressed(file: SharedFile, bytes: number): SharedFile {
  const late = file.phase !== "uploading" && file.phase !== "storing" && file.phase !== "hashing";
  if (late) return file;
  return { ...file, phase: "hashing", hashed_bytes: Math.max(bytes, file.hashed_bytes ?? 0) };
}

export function leastAdvanced(phases: Phase[]): Phase {
  if (phases.includes("quarantined")) return "quarantined";
  return ORDER.find((phase) => phases.includes(phase)) ?? "uploading";
}
