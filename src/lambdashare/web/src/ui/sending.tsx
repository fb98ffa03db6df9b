// A transfer as its sender sees it.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { t } from "../i18n";
import { bytes, duration, percent } from "../text";
import type { Transfer } from "../upload/transfer";
import { announce, tenths } from "./announce";
import { Countdown } from "./clock";
import { FileCard, shownPhase } from "./file_card";
import { LinkBox } from "./link_box";
import { Owner } from "./owner";
import { Progress } from "./progress";

export function Sending({ transfer }: { transfer: Transfer }) {
  const { share, state } = transfer;
  useAnnouncements(transfer);
  const deleted = useSignal(false);
  if (deleted.value || transfer.live.gone.value === "deleted")
    return (
      <p class="card calm" role="status">
        {t("owner.deleted")}
      </p>
    );
  if (state.value === "cancelled")
    return (
      <p class="card calm" role="status">
        {t("state.cancelled")}
      </p>
    );
  const files = share.value.files;
  return (
    <section class="card sending">
      <LinkBox
        link={transfer.link.value}
        note={linkNote(transfer)}
        title={files[0]?.name ?? "λShare"}
      />
      <p class="note">
        <Countdown expiresAt={share.value.expires_at} />
      </p>
      {state.value !== "sent" && <Total transfer={transfer} />}
      <div class="files">
        {files.map((file) => (
          <FileCard
            key={file.n}
            file={file}
            alone={files.length === 1}
            hashSpeed={transfer.live.hashSpeed.value.get(file.n)}
            item={transfer.items.find((item) => item.n === file.n)}
          />
        ))}
      </div>
      {state.value === "sent" && (
        <Owner share={share} token={transfer.token} onDeleted={() => (deleted.value = true)} />
      )}
    </section>
  );
}

function Total({ transfer }: { transfer: Transfer }) {
  const asking = useSignal(false);
  const state = transfer.state.value;
  const { bytesPerS, etaS, sent, size } = transfer;
  const settling = state === "sending" && size > 0 && sent.value >= size;
  return (
    <div class="total">
      <div class="row facts">
        <b>{t(`state.${state}`)}</b>
        <span>{t("total", { sent: bytes(sent.value), size: bytes(size) })}</span>
        {state === "sending" && !settling && bytesPerS.value > 0 && (
          <span>{t("speed", { rate: bytes(bytesPerS.value) })}</span>
        )}
        {state === "sending" && !settling && etaS.value !== null && (
          <span>{t("eta", { time: duration(etaS.value) })}</span>
        )}
        <span class="gap" />
        <span class="percent">{percent(sent.value, size)}</span>
      </div>
      <Progress
        label={t("progress.total")}
        ratio={size ? sent.value / size : 1}
        tone={state === "sending" ? "go" : "stop"}
      />
      {settling && <p class="note">{t("settling")}</p>}
      <div class="row">
        {state === "sending" && (
          <button type="button" onClick={() => transfer.pause()}>
            {t("pause")}
          </button>
        )}
        {state === "paused" && (
          <button type="button" class="primary" onClick={() => transfer.resume()}>
            {t("resume")}
          </button>
        )}
        {state === "failed" && (
          <button type="button" class="primary" onClick={() => transfer.resume()}>
            {t("retry")}
          </button>
        )}
        {asking.value ? (
          <>
            <b>{t("cancel.sure")}</b>
            <button
              type="button"
              class="danger"
              onClick={() => void transfer.cancel().catch(() => {})}
            >
              {t("owner.yes")}
            </button>
            <button type="button" onClick={() => (asking.value = false)}>
              {t("owner.no")}
            </button>
          </>
        ) : (
          <button type="button" class="danger ghost" onClick={() => (asking.value = true)}>
            {t("cancel")}
          </button>
        )}
      </div>
    </div>
  );
}

function linkNote(transfer: Transfer): string {
  if (transfer.link.value.includes("#")) return t("link.with");
  if (transfer.share.value.files.length > 8) return t("link.many");
  const hashed = transfer.items.reduce((sum, item) => sum + item.hashed.value, 0);
  return t("link.soon", { percent: percent(hashed, transfer.size) });
}

/** Upload by tenths, then every file's phase: in words, politely. */
function useAnnouncements(transfer: Transfer): void {
  useEffect(() => {
    announce(t("link.ready"));
    const upload = tenths((tenth) => announce(t("say.upload", { percent: percent(tenth, 10) })));
    const stopUpload = transfer.sent.subscribe((sent) => upload(sent, transfer.size));
    const phases = new Map<number, string>();
    const hashing = new Map<number, ReturnType<typeof tenths>>();
    const stopPhases = transfer.share.subscribe((share) => {
      for (const file of share.files) {
        const phase = shownPhase(file);
        if (phases.get(file.n) !== phase && phase !== "uploading") {
          announce(t("say.phase", { name: file.name, phase: t(`phase.${phase}`) }));
        }
        phases.set(file.n, phase);
        if (phase !== "hashing" || !file.size) continue;
        const say =
          hashing.get(file.n) ??
          tenths((tenth) => announce(t("say.hash", { percent: percent(tenth, 10) })));
        hashing.set(file.n, say);
        say(file.hashed_bytes ?? 0, file.size);
      }
    });
    return () => {
      stopUpload();
      stopPhases();
    };
  }, [transfer]);
}
