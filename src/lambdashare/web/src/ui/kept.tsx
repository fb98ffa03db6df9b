// What this browser remembers: uploads to go on with, and shares that can still be changed.
import { type Signal, useSignal } from "@preact/signals";
import { api } from "../api/client";
import { t } from "../i18n";
import { reopen } from "../store/files";
import { matchFiles, type ShareRecord } from "../store/resume";
import { removeRecord } from "../store/shares";
import { bytes } from "../text";
import { resumeTransfer } from "../upload/start";
import type { Transfer } from "../upload/transfer";
import { Countdown } from "./clock";
import { Choose } from "./drop";
import { Warning } from "./icons";

interface Props {
  kept: Signal<ShareRecord[]>;
  onResume: (transfer: Transfer) => void;
}

export function Kept({ kept, onResume }: Props) {
  const unfinished = kept.value.filter((one) => !one.sent);
  const finished = kept.value.filter((one) => one.sent);
  const drop = (id: string) => (kept.value = kept.value.filter((one) => one.id !== id));
  return (
    <>
      {unfinished.length > 0 && (
        <section class="card">
          <h2>{t("unfinished.title")}</h2>
          {unfinished.map((one) => (
            <Unfinished key={one.id} record={one} onDone={() => drop(one.id)} onResume={onResume} />
          ))}
        </section>
      )}
      {finished.length > 0 && (
        <section class="card">
          <h2>{t("mine.title")}</h2>
          <ul class="mine">
            {finished.map((one) => (
              <li key={one.id}>
                <a href={new URL(one.url, location.href).pathname}>{titleOf(one)}</a>{" "}
                <Countdown expiresAt={one.expiresAt} />
              </li>
            ))}
          </ul>
        </section>
      )}
    </>
  );
}

function titleOf(record: ShareRecord): string {
  return t("mine.files", {
    count: record.files.length,
    name: record.files[0]?.name ?? "",
    more: record.files.length - 1,
  });
}

interface UnfinishedProps {
  record: ShareRecord;
  onDone: () => void;
  onResume: (transfer: Transfer) => void;
}

function Unfinished({ record, onDone, onResume }: UnfinishedProps) {
  const trouble = useSignal("");
  const handles = record.files.filter((file) => file.handle);
  const go = async (files: File[]) => {
    const found = matchFiles(record.files, files);
    if (found.size === 0) {
      trouble.value = t("unfinished.nomatch");
      return;
    }
    try {
      onResume(await resumeTransfer(record, found));
      onDone();
    } catch (error) {
      trouble.value = t("unfinished.failed", { detail: (error as Error).message });
    }
  };
  const reopenAll = async () => {
    const files = await Promise.all(handles.map((file) => reopen(file.handle!)));
    await go(files.filter((file) => file !== null));
  };
  const forget = async () => {
    await api.deleteShare(record.id, record.token).catch(() => {}); // it may have gone by itself
    await removeRecord(record.id);
    onDone();
  };
  const size = record.files.reduce((sum, file) => sum + file.size, 0);
  return (
    <div class="unfinished">
      <p>
        <b>{titleOf(record)}</b> {bytes(size)}
      </p>
      <div class="row">
        {handles.length === record.files.length ? (
          <button type="button" class="primary" onClick={() => void reopenAll()}>
            {t("unfinished.continue")}
          </button>
        ) : (
          <Choose label={t("unfinished.choose")} primary onPick={(files) => void go(files)} />
        )}
        <button type="button" class="danger ghost" onClick={() => void forget()}>
          {t("unfinished.forget")}
        </button>
      </div>
      {handles.length < record.files.length && <p class="note">{t("unfinished.why")}</p>}
      {trouble.value && (
        <p class="alarm" role="alert">
          <Warning />
          {trouble.value}
        </p>
      )}
    </div>
  );
}
