// One file of a share: phase, progress, witnesses, sums. The same for who sends and who receives.
import type { ComponentChildren } from "preact";
import type { Phase, SharedFile } from "../api/types";
import { t } from "../i18n";
import { bytes } from "../text";
import type { Item } from "../upload/item";
import { Warning } from "./icons";
import { Phases } from "./phases";
import { Progress } from "./progress";
import { Ribbon } from "./ribbon";
import { Sums } from "./sums";
import { Witnesses } from "./witnesses";

interface Props {
  file: SharedFile;
  item?: Item | undefined;
  hashSpeed?: number | undefined;
  /** With one file everything is open; with many the details wait to be asked for. */
  alone: boolean;
  /** False where the page's own heading is the name already. */
  named?: boolean;
  children?: ComponentChildren;
}

/** The server learns last that all bytes are there; the sender's page knows it first. */
export function shownPhase(file: SharedFile, item?: Item): Phase {
  return file.phase === "uploading" && item?.complete.value ? "storing" : file.phase;
}

export function FileCard({ file, item, hashSpeed, alone, named = true, children }: Props) {
  const phase = shownPhase(file, item);
  const hashing = phase === "hashing";
  const ratio = file.size ? (file.hashed_bytes ?? 0) / file.size : 0;
  const sha256 = file.digests.sha256 ?? null;
  const trouble = item?.trouble.value;
  const local = item
    ? { hashed: item.hashed.value, size: item.file.size, sha256: item.sha256.value }
    : undefined;
  return (
    <article class={`file ${phase}`}>
      <header>
        {named && <h2>{file.name}</h2>}
        <p class="meta">
          {file.size === null ? "" : bytes(file.size)} <span>{file.type}</span>
        </p>
      </header>
      <Phases name={file.name} phase={phase} />
      {phase === "uploading" && item && (
        <Progress
          label={t("progress.upload", { name: file.name })}
          ratio={item.file.size ? item.sent.value / item.file.size : 1}
          tone={trouble ? "stop" : "go"}
        />
      )}
      {hashing && (
        <Progress label={t("progress.hash", { name: file.name })} ratio={ratio} tone="hash" />
      )}
      {hashing && file.size !== null && (
        <p class="note">
          {t("hash.by", { done: bytes(file.hashed_bytes ?? 0), size: bytes(file.size) })}
          {hashSpeed ? ` ${t("hash.at", { rate: bytes(hashSpeed) })}` : ""}
        </p>
      )}
      {trouble && (
        <p class="alarm" role="alert">
          <Warning />
          {t(`error.${trouble.reason}`, { detail: trouble.message })}
        </p>
      )}
      {(alone || sha256) && <Ribbon sha256={sha256} ratio={hashing ? ratio : 0} />}
      {children}
      <details class="proof" open={alone}>
        <summary>
          {t("witness.title")} · {t("sums")}
        </summary>
        <Witnesses file={file} local={local} />
        {sha256 ? (
          <Sums name={file.name} digests={file.digests} known={phase !== "quarantined"} />
        ) : (
          <p class="note">{t("sums.soon")}</p>
        )}
      </details>
    </article>
  );
}
