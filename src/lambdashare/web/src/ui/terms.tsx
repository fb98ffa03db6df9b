// The terms of a share, chosen before it is sent.
import type { Signal } from "@preact/signals";
import { t } from "../i18n";
import { lifetime } from "../text";
import { LIFETIMES_S } from "../text/expiry";

export function Lifetime({ label, value }: { label: string; value: Signal<number> }) {
  return (
    <label class="field">
      <span>{label}</span>
      <select
        value={value.value}
        onChange={(event) => (value.value = Number(event.currentTarget.value))}
      >
        {LIFETIMES_S.map((seconds) => (
          <option key={seconds} value={seconds}>
            {lifetime(seconds)}
          </option>
        ))}
      </select>
    </label>
  );
}

export interface TermSignals {
  lifetimeS: Signal<number>;
  maxDownloads: Signal<number | null>;
  listed: Signal<boolean>;
}

export function TermsForm({ lifetimeS, maxDownloads, listed }: TermSignals) {
  const setMax = (text: string) => {
    const number = Number.parseInt(text, 10);
    maxDownloads.value = number >= 1 ? Math.min(number, 1_000_000) : null;
  };
  return (
    <div class="terms">
      <Lifetime label={t("terms.expiry")} value={lifetimeS} />
      <details>
        <summary>{t("terms.more")}</summary>
        <label class="field">
          <span>{t("terms.max")}</span>
          <input
            type="number"
            min={1}
            max={1_000_000}
            inputMode="numeric"
            value={maxDownloads.value ?? ""}
            aria-describedby="max-hint"
            onInput={(event) => setMax(event.currentTarget.value)}
          />
        </label>
        <p class="note" id="max-hint">
          {t("terms.max.hint")}
        </p>
        <label class="field check">
          <input
            type="checkbox"
            checked={listed.value}
            aria-describedby="listed-hint"
            onChange={(event) => (listed.value = event.currentTarget.checked)}
          />
          <span>{t("terms.listed")}</span>
        </label>
        <p class="note" id="listed-hint">
          {t("terms.listed.hint")}
        </p>
      </details>
    </div>
  );
}
