// Copies text and says so.
import { useSignal } from "@preact/signals";
import { t } from "../i18n";
import { announce } from "./announce";
import { Check, CopyIcon } from "./icons";

interface Props {
  text: string;
  /** What is copied, for those who do not see what stands beside the button. */
  what: string;
  label?: string;
  primary?: boolean;
}

export function CopyButton({ text, what, label, primary = false }: Props) {
  const state = useSignal<"idle" | "copied" | "failed">("idle");
  const copy = async () => {
    state.value = (await copyText(text)) ? "copied" : "failed";
    announce(t(state.value === "copied" ? "copied" : "copy.failed"));
    setTimeout(() => (state.value = "idle"), 2000);
  };
  const words =
    state.value === "copied" ? t("copied") : state.value === "failed" ? t("copy.failed") : label;
  const name = label
    ? {}
    : { "aria-label": t("copy.what", { what }), title: t("copy.what", { what }) };
  return (
    <button
      type="button"
      class={primary ? "primary" : label ? "" : "quiet"}
      onClick={() => void copy()}
      {...name}
    >
      {state.value === "copied" ? <Check /> : <CopyIcon />}
      {label && <span>{words}</span>}
    </button>
  );
}

/** The clipboard API needs https or localhost; a selected field works everywhere. */
async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const field = document.createElement("textarea");
    field.value = text;
    field.className = "hidden";
    document.body.append(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    return done;
  }
}
