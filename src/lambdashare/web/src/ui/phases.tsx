// Where a file is: uploading → storing → hashing → verified.
import type { Phase } from "../api/types";
import { t } from "../i18n";
import { Check, Cross } from "./icons";

const STEPS = ["uploading", "storing", "hashing"] as const;

export function Phases({ name, phase }: { name: string; phase: Phase }) {
  const last: Phase = phase === "hashed" || phase === "quarantined" ? phase : "verified";
  const steps: Phase[] = [...STEPS, last];
  const at = steps.indexOf(phase);
  return (
    <ol class="phases" aria-label={t("phase.label", { name })}>
      {steps.map((step, index) => {
        const done = index < at || (index === at && index === 3);
        const state =
          step === "quarantined" ? "bad" : done ? "done" : index === at ? "now" : "ahead";
        const current = index === at ? { "aria-current": "step" as const } : {};
        return (
          <li key={step} class={state} {...current}>
            <span class="dot">
              {state === "done" ? <Check /> : state === "bad" ? <Cross /> : null}
            </span>
            {t(`phase.${step}`)}
          </li>
        );
      })}
    </ol>
  );
}
