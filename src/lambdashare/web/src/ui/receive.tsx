// How a recipient gets a file and knows that it is the right one.
import { useSignal } from "@preact/signals";
import type { SharedFile } from "../api/types";
import { canSave, report, saveVerified } from "../download/verified";
import { Hasher } from "../hash/hasher";
import { t } from "../i18n";
import { bytes } from "../text";
import { CopyButton } from "./copy";
import { Choose } from "./drop";
import { Check, Down, Shield, Warning } from "./icons";
import { Progress } from "./progress";

type Outcome =
  "saved.ok" | "saved.bad" | "saved.failed" | "checked.ok" | "checked.bad" | "checked.failed";

interface Running {
  kind: "saving" | "checking";
  bytes: number;
  size: number;
  stop: AbortController;
}

interface Props {
  share: string;
  file: SharedFile;
  /** What the link or the server says the SHA-256 is. */
  wanted: string | null;
}

const READY = ["hashing", "hashed", "verified"];

export function Receive({ share, file, wanted }: Props) {
  const running = useSignal<Running | null>(null);
  const outcome = useSignal<Outcome | null>(null);
  if (file.phase === "quarantined") return null;
  if (!READY.includes(file.phase)) return <p class="note">{t("share.wait")}</p>;

  const work = async (
    kind: Running["kind"],
    size: number,
    check: (now: Running) => Promise<boolean>,
  ) => {
    const now: Running = { kind, bytes: 0, size, stop: new AbortController() };
    outcome.value = null;
    running.value = now;
    const verb = kind === "saving" ? "saved" : "checked";
    try {
      const same = await check(now);
      outcome.value = same ? `${verb}.ok` : `${verb}.bad`;
      if (same && wanted) report(share, file.n, wanted);
    } catch (error) {
      // a cancelled Save dialog says AbortError, too: nothing broke off
      const unwanted = error instanceof DOMException && error.name === "AbortError";
      outcome.value = unwanted || now.stop.signal.aborted ? null : `${verb}.failed`;
    }
    running.value = null;
  };
  const tell = (now: Running) => (count: number) => (running.value = { ...now, bytes: count });
  const save = () =>
    work("saving", file.size ?? 0, (now) =>
      saveVerified(file, wanted!, tell(now), now.stop.signal),
    );
  const check = (copy: File) =>
    work(
      "checking",
      copy.size,
      async (now) => (await sha256Of(copy, tell(now), now.stop.signal)) === wanted,
    );

  const suspicious =
    file.digests.sha256 !== undefined && wanted !== null && wanted !== file.digests.sha256;
  return (
    <div class="receive">
      <div class="row">
        <a class={suspicious ? "button" : "button primary"} href={file.url} download>
          <Down />
          <span>{t("share.download")}</span>
          <span class="hidden"> {file.name}</span>
        </a>
        {wanted && canSave() && (
          <button
            type="button"
            aria-label={t("share.save.name", { name: file.name })}
            onClick={() => void save()}
          >
            <Shield />
            <span>{t("share.save")}</span>
          </button>
        )}
        {wanted && (
          <Choose
            label={t("share.check")}
            name={t("share.check.name", { name: file.name })}
            multiple={false}
            onPick={([copy]) => copy && void check(copy)}
          />
        )}
      </div>
      {running.value && <Under running={running.value} />}
      <p
        role="status"
        class={outcome.value?.endsWith("ok") ? "verdict good" : outcome.value ? "verdict bad" : ""}
      >
        {outcome.value && (
          <>
            {outcome.value.endsWith("ok") ? <Check /> : <Warning />}
            <span>{t(`share.${outcome.value}`)}</span>
          </>
        )}
      </p>
      {wanted && !canSave() && <Howto file={file} wanted={wanted} />}
    </div>
  );
}

function Under({ running }: { running: Running }) {
  const text = t(`share.${running.kind}`, {
    done: bytes(running.bytes),
    size: bytes(running.size),
  });
  return (
    <div class="under">
      <Progress
        label={t("progress.file")}
        ratio={running.size ? running.bytes / running.size : null}
        tone="hash"
      />
      <p class="note">
        {text}{" "}
        <button type="button" class="quiet" onClick={() => running.stop.abort()}>
          {t("share.stop")}
        </button>
      </p>
    </div>
  );
}

function Howto({ file, wanted }: { file: SharedFile; wanted: string }) {
  const name = file.name.slice(file.name.lastIndexOf("/") + 1).replaceAll("'", "'\\''");
  const line = `echo '${wanted}  ${name}' | sha256sum -c`;
  return (
    <details class="note">
      <summary>{t("share.check.hint")}</summary>
      <p>{t("share.shell")}</p>
      <p class="shell">
        <code>{line}</code>
        <CopyButton text={line} what={t("share.shell")} />
      </p>
    </details>
  );
}

async function sha256Of(
  copy: File,
  onBytes: (bytes: number) => void,
  signal: AbortSignal,
): Promise<string | undefined> {
  const hasher = new Hasher();
  const stop = () => hasher.stop();
  signal.addEventListener("abort", stop, { once: true });
  try {
    return (await hasher.blob(copy, ["sha256"], onBytes)).sha256;
  } finally {
    hasher.stop();
  }
}
