// Hash a file here, in the browser, and ask whether its content is known. The file stays where it is.
import { signal } from "@preact/signals";
import { useCallback } from "preact/hooks";
import { api, Problem } from "../api/client";
import type { Digests, HashMatch } from "../api/types";
import { looksLikeDigest } from "../hash/encoding";
import { allSums } from "../hash/hasher";
import { t } from "../i18n";
import type { Picked } from "../store/files";
import { bytes, dateTime, percent } from "../text";
import { announce, tenths } from "../ui/announce";
import { Choose, PageDrop, pickedFrom } from "../ui/drop";
import { HashFiles } from "../ui/hash_files";
import { Check, Minus, Warning } from "../ui/icons";
import { Layout } from "../ui/layout";
import { Progress } from "../ui/progress";
import { Ribbon } from "../ui/ribbon";
import { Sums } from "../ui/sums";

interface Work {
  name: string;
  size: number;
  done: number;
  digests: Digests | null;
  lookup: HashMatch | Problem | Error | null;
}

const work = signal<Work | null>(null);
const failed = signal(false);
const expected = signal("");
let running = new AbortController();

async function verify(file: File): Promise<void> {
  running.abort();
  running = new AbortController();
  const { signal: stop } = running;
  failed.value = false;
  const change = (part: Partial<Work>) =>
    !stop.aborted && (work.value = { ...work.peek()!, ...part });
  work.value = { name: file.name, size: file.size, done: 0, digests: null, lookup: null };
  const say = tenths((tenth) => announce(t("say.hash", { percent: percent(tenth, 10) })));
  try {
    const digests = await allSums(
      file,
      (done) => {
        change({ done });
        say(done, file.size);
      },
      stop,
    );
    change({ done: file.size, digests });
    change({ lookup: await api.hash(digests.sha256!).catch((error: Error) => error) });
  } catch {
    if (stop.aborted) return;
    work.value = null;
    failed.value = true;
  }
}

export function Verify() {
  const onTake = useCallback(([picked]: Picked[]) => void (picked && verify(picked.file)), []);
  return (
    <Layout section="verify">
      <PageDrop onTake={onTake} words={t("drop.verify")} />
      <h1 class="lead">{t("verify.lead")}</h1>
      <p class="sub">{t("verify.sub")}</p>
      <section class="card drop">
        <h2>{t("verify.drop")}</h2>
        <div class="row middle">
          <Choose
            label={t("verify.choose")}
            multiple={false}
            primary
            onPick={(files) => onTake(pickedFrom(files))}
          />
        </div>
        <label class="field wide">
          <span>{t("verify.expected")}</span>
          <input
            class="mono"
            value={expected.value}
            spellcheck={false}
            autocomplete="off"
            onInput={(event) => (expected.value = event.currentTarget.value)}
          />
        </label>
        {failed.value && (
          <p class="alarm" role="alert">
            <Warning />
            {t("verify.failed")}
          </p>
        )}
      </section>
      {work.value && <Result work={work.value} />}
      <Lookup />
    </Layout>
  );
}

function Result({ work: now }: { work: Work }) {
  const stop = () => {
    running.abort();
    work.value = null;
  };
  if (!now.digests) {
    return (
      <section class="card">
        <p>
          {t("verify.hashing", { name: now.name, done: bytes(now.done), size: bytes(now.size) })}
        </p>
        <Progress
          label={t("progress.hash", { name: now.name })}
          ratio={now.size ? now.done / now.size : 1}
          tone="hash"
        />
        <div class="row">
          <button type="button" onClick={stop}>
            {t("verify.stop")}
          </button>
        </div>
      </section>
    );
  }
  return (
    <section class="card">
      <h2>
        {now.name} <small>{bytes(now.size)}</small>
      </h2>
      <Ribbon sha256={now.digests.sha256 ?? null} ratio={1} />
      <Compared digests={now.digests} />
      <Known lookup={now.lookup} />
      <Sums name={now.name} digests={now.digests} />
    </section>
  );
}

function Compared({ digests }: { digests: Digests }) {
  const given = expected.value.trim().toLowerCase();
  if (!given) return null;
  const same = Object.values(digests).includes(given);
  return (
    <p class={same ? "verdict good" : "verdict bad"} role="status">
      {same ? <Check /> : <Warning />}
      <span>{t(same ? "verify.expected.yes" : "verify.expected.no")}</span>
    </p>
  );
}

function Known({ lookup }: { lookup: Work["lookup"] }) {
  if (!lookup) return null;
  if (lookup instanceof Problem && (lookup.status === 404 || lookup.status === 410)) {
    const past = lookup.body.tombstone?.expired_at;
    return (
      <p class="verdict open" role="status">
        <Minus />
        <span>{past ? t("verify.past", { date: dateTime(past) }) : t("verify.unknown")}</span>
      </p>
    );
  }
  if (lookup instanceof Error) {
    return (
      <p class="verdict bad" role="alert">
        <Warning />
        <span>{t("verify.offline", { detail: lookup.message })}</span>
      </p>
    );
  }
  return (
    <>
      <p class="verdict good" role="status">
        <Check />
        <span>{t("verify.found", { count: lookup.files.length })}</span>
      </p>
      <HashFiles files={lookup.files} />
    </>
  );
}

const asked = signal("");
const malformed = signal(false);

function Lookup() {
  const look = (event: Event) => {
    event.preventDefault();
    malformed.value = !looksLikeDigest(asked.value);
    if (!malformed.value) location.assign(`/h/${encodeURIComponent(asked.value.trim())}`);
  };
  return (
    <section class="card">
      <h2>{t("verify.or")}</h2>
      <form class="lookup" onSubmit={look} noValidate>
        <label class="field wide">
          <span>{t("verify.digest")}</span>
          <input
            class="mono"
            value={asked.value}
            spellcheck={false}
            autocomplete="off"
            aria-invalid={malformed.value}
            aria-describedby="lookup-trouble"
            onInput={(event) => (asked.value = event.currentTarget.value)}
          />
        </label>
        <button type="submit" class="primary">
          {t("verify.look")}
        </button>
      </form>
      <p id="lookup-trouble" role="alert" class={malformed.value ? "alarm" : ""}>
        {malformed.value && (
          <>
            <Warning />
            {t("verify.bad")}
          </>
        )}
      </p>
    </section>
  );
}
