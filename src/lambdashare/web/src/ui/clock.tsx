// Time that passes on the page.
import { signal } from "@preact/signals";
import { t } from "../i18n";
import { dateTime, lifetime } from "../text";

export const nowMs = signal(Date.now());
setInterval(() => (nowMs.value = Date.now()), 1000);

export const isOver = (expiresAt: string) => Date.parse(expiresAt) <= nowMs.value;

export function Countdown({ expiresAt }: { expiresAt: string }) {
  const left = (Date.parse(expiresAt) - nowMs.value) / 1000;
  if (left <= 0) return <span>{t("expires.over")}</span>;
  // Seconds only at the end: a number that hops without need is restless.
  const shown = left > 3600 ? Math.ceil(left / 60) * 60 : left;
  return (
    <span>
      {t("expires.in", { time: lifetime(shown) })},{" "}
      <time dateTime={expiresAt}>{t("expires.until", { date: dateTime(expiresAt) })}</time>
    </span>
  );
}
