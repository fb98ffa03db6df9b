// The sending page: whatever is dropped, pasted or picked is on its way at once.
import { signal, useComputed } from "@preact/signals";
import { useCallback, useEffect } from "preact/hooks";
import { Offline } from "../api/client";
import { t } from "../i18n";
import type { Picked } from "../store/files";
import type { ShareRecord } from "../store/resume";
import { records } from "../store/shares";
import { LIFETIME_DEFAULT_S } from "../text/expiry";
import { startTransfer } from "../upload/start";
import type { Transfer } from "../upload/transfer";
import { Choose, PageDrop, pickedFrom } from "../ui/drop";
import { Warning } from "../ui/icons";
import { Kept } from "../ui/kept";
import { Layout } from "../ui/layout";
import { Sending } from "../ui/sending";
import { TermsForm } from "../ui/terms";

const FILES_MAX = 500;

const state = {
  lifetimeS: signal(LIFETIME_DEFAULT_S),
  maxDownloads: signal<number | null>(null),
  listed: signal(true),
  transfers: signal<Transfer[]>([]),
  starting: signal(0),
  trouble: signal(""),
  kept: signal<ShareRecord[]>([]),
};

const begun = (transfer: Transfer) =>
  (state.transfers.value = [transfer, ...state.transfers.peek()]);

async function take(picked: Picked[]): Promise<void> {
  state.trouble.value =
    picked.length === 0 ? t("error.empty") : picked.length > FILES_MAX ? t("error.many") : "";
  if (state.trouble.value) return;
  state.starting.value = picked.length;
  try {
    begun(
      await startTransfer(picked, {
        expiresInS: state.lifetimeS.value,
        maxDownloads: state.maxDownloads.value,
        listed: state.listed.value,
      }),
    );
  } catch (error) {
    state.trouble.value =
      error instanceof Offline
        ? t("error.offline")
        : t("error.start", { detail: (error as Error).message });
  }
  state.starting.value = 0;
}

export function Home() {
  const onTake = useCallback((picked: Picked[]) => void take(picked), []);
  const sending = useComputed(() =>
    state.transfers.value.some(({ state }) => state.value === "sending"),
  );
  useEffect(() => {
    void records(Date.now()).then((found) => (state.kept.value = found));
  }, []);
  useEffect(() => {
    if (!sending.value) return;
    const ask = (event: BeforeUnloadEvent) => event.preventDefault();
    addEventListener("beforeunload", ask);
    return () => removeEventListener("beforeunload", ask);
  }, [sending.value]);
  const quiet = state.transfers.value.length === 0;
  return (
    <Layout section="send">
      <PageDrop onTake={onTake} words={t("drop.now")} />
      <h1 class={quiet ? "lead" : "hidden"}>{t("home.lead")}</h1>
      {quiet && <p class="sub">{t("home.sub")}</p>}
      {state.transfers.value.map((transfer) => (
        <Sending key={transfer.id} transfer={transfer} />
      ))}
      <Chooser onTake={onTake} small={!quiet} />
      <Kept kept={state.kept} onResume={begun} />
      {quiet && <How />}
    </Layout>
  );
}

function Chooser({ onTake, small }: { onTake: (picked: Picked[]) => void; small: boolean }) {
  const pick = (files: File[]) => onTake(pickedFrom(files));
  return (
    <section class={small ? "card drop small" : "card drop"}>
      <h2>{small ? t("new") : t("drop.title")}</h2>
      {!small && <p class="note">{t("drop.or")}</p>}
      <div class="row middle">
        <Choose label={t("drop.files")} onPick={pick} primary />
        <Choose label={t("drop.folder")} onPick={pick} folder />
      </div>
      <p role="status" class="note">
        {state.starting.value > 0 && t("starting", { count: state.starting.value })}
      </p>
      {state.trouble.value && (
        <p class="alarm" role="alert">
          <Warning />
          {state.trouble.value}
        </p>
      )}
      <TermsForm
        lifetimeS={state.lifetimeS}
        maxDownloads={state.maxDownloads}
        listed={state.listed}
      />
    </section>
  );
}

function How() {
  return (
    <ol class="how">
      {(["how.1", "how.2", "how.3"] as const).map((key) => (
        <li key={key}>
          <h2>{t(key)}</h2>
          <p>{t(`${key}.text`)}</p>
        </li>
      ))}
    </ol>
  );
}
