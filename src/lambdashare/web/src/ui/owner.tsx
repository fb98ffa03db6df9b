// What the sender can still do: change the lifetime, delete now.
import { type Signal, useSignal } from "@preact/signals";
import { api } from "../api/client";
import type { Share } from "../api/types";
import { t } from "../i18n";
import { record, removeRecord, putRecord } from "../store/shares";
import { dateTime } from "../text";
import { LIFETIME_DEFAULT_S } from "../text/expiry";
import { Lifetime } from "./terms";

interface Props {
  share: Signal<Share>;
  token: string;
  onDeleted: () => void;
}

export function Owner({ share, token, onDeleted }: Props) {
  const lifetime = useSignal(LIFETIME_DEFAULT_S);
  const asking = useSignal(false);
  const said = useSignal("");
  const attempt = (work: () => Promise<void>) =>
    void work().catch(
      (error: Error) => (said.value = t("owner.failed", { detail: error.message })),
    );
  const change = async () => {
    const next = await api.patchShare(share.value.id, token, { expires_in_s: lifetime.value });
    share.value = next;
    const kept = await record(next.id);
    if (kept) await putRecord({ ...kept, expiresAt: next.expires_at });
    said.value = t("owner.changed", { date: dateTime(next.expires_at) });
  };
  const remove = async () => {
    await api.deleteShare(share.value.id, token);
    await removeRecord(share.value.id);
    onDeleted();
  };
  return (
    <div class="owner" role="group" aria-label={t("owner.title")}>
      <div class="row">
        <Lifetime label={t("owner.expiry")} value={lifetime} />
        <button type="button" onClick={() => attempt(change)}>
          {t("owner.set")}
        </button>
        <span class="gap" />
        {asking.value ? (
          <>
            <b>{t("owner.sure")}</b>
            <button type="button" class="danger" onClick={() => attempt(remove)}>
              {t("owner.yes")}
            </button>
            <button type="button" onClick={() => (asking.value = false)}>
              {t("owner.no")}
            </button>
          </>
        ) : (
          <button type="button" class="danger ghost" onClick={() => (asking.value = true)}>
            {t("owner.delete")}
          </button>
        )}
      </div>
      <p class="note" role="status">
        {said.value}
      </p>
    </div>
  );
}
