// The three-witness badge: the sender's browser, S3 and the function each computed the digest on their own.
import type { SharedFile } from "../api/types";
import { t } from "../i18n";
import { percent } from "../text";
import { NAMES } from "./sums";
import { Check, Cross, Minus, Shield, Wait, Warning } from "./icons";

type Says = "yes" | "no" | "has" | "wait" | "none";

interface Props {
  file: SharedFile;
  /** The browser's own sum while this page computes it. */
  local?: { hashed: number; size: number; sha256: string | null } | undefined;
}

export function Witnesses({ file, local }: Props) {
  const { browser, storage, function: computed } = file.witnesses;
  const own = browser ?? local?.sha256 ?? null;
  const says = {
    browser: own ? agreement(own, computed) : local ? "wait" : computed ? "none" : "wait",
    storage:
      storage && storage.agrees !== null
        ? storage.agrees
          ? "yes"
          : "no"
        : storage
          ? agreement(storage.value, computed)
          : "wait",
    function: computed
      ? own === null
        ? "has"
        : file.phase === "quarantined"
          ? "no"
          : "yes"
      : "wait",
  } satisfies Record<string, Says>;
  const storageNote = storage
    ? storage.kind === "composite"
      ? t("witness.composite")
      : t("witness.full", { algorithm: named(storage.algorithm) })
    : "";
  const localNote =
    local && !local.sha256
      ? t("witness.local", { percent: percent(local.hashed, local.size) })
      : "";
  return (
    <div
      class={`witnesses ${mood(file)}`}
      role="group"
      aria-label={`${t("witness.title")}, ${file.name}`}
    >
      <p class="headline">
        {mood(file) === "bad" ? <Warning /> : <Shield />}
        <span>{headline(file, says)}</span>
      </p>
      <ul>
        <Witness who={t("witness.browser")} says={says.browser} note={localNote} />
        <Witness who={t("witness.storage")} says={says.storage} note={storageNote} />
        <Witness
          who={t("witness.function")}
          says={says.function}
          note={computed ? "SHA-256" : ""}
        />
      </ul>
    </div>
  );
}

function Witness({ who, says, note }: { who: string; says: Says; note: string }) {
  return (
    <li class={says}>
      <span class="dot">
        {says === "yes" || says === "has" ? (
          <Check />
        ) : says === "no" ? (
          <Cross />
        ) : says === "none" ? (
          <Minus />
        ) : (
          <Wait />
        )}
      </span>
      <span>
        <b>{who}</b>{" "}
        {says === "wait" && note ? (
          note
        ) : (
          <>
            {t(`witness.says.${says}`)}
            {note && <small>{note}</small>}
          </>
        )}
      </span>
    </li>
  );
}

const named = (algorithm: string) =>
  NAMES[algorithm.toLowerCase() as keyof typeof NAMES] ?? algorithm;

function agreement(one: string, other: string | null): Says {
  return other === null ? "has" : one === other ? "yes" : "no";
}

function mood(file: SharedFile): "good" | "bad" | "open" {
  if (file.phase === "verified") return "good";
  return file.phase === "quarantined" ? "bad" : "open";
}

function headline(
  file: SharedFile,
  says: { browser: Says; storage: Says; function: Says },
): string {
  if (file.phase === "verified") return t("witness.agree");
  if (file.phase === "quarantined") return t("witness.disagree");
  if (file.phase === "hashed" && says.browser === "none") return t("witness.none");
  const open = (["browser", "storage", "function"] as const).filter((who) => says[who] === "wait");
  return open.length > 0
    ? t("witness.wait", { who: open.map((who) => t(`witness.${who}`)).join(", ") })
    : t("witness.compare");
}
