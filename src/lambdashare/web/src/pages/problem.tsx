// Errors as pages: what is the matter, and what to do now.
import type { ProblemBody, Tombstone } from "../api/types";
import { type Key, t } from "../i18n";
import { bytes, dateTime } from "../text";
import { Layout } from "../ui/layout";

function texts({ status, type }: ProblemBody): [Key, Key] {
  const kind = type.split(":").pop();
  if (status === 404) return ["problem.404", "problem.404.text"];
  if (status === 410)
    return ["problem.410", kind === "download-limit" ? "problem.limit.text" : "problem.410.text"];
  if (kind === "quarantined") return ["problem.409", "problem.409.text"];
  if (kind === "not-ready") return ["problem.ready", "problem.ready.text"];
  if (status === 409) return ["problem.many", "problem.many.text"];
  return ["problem.other", "problem.other.text"];
}

/** A digest's tombstone has its size; a share's those of its files, once it is buried. */
function past({ created_at, expired_at, size, files = [] }: Tombstone): string {
  if (!created_at || !expired_at) return "";
  const times = { from: dateTime(created_at), to: dateTime(expired_at) };
  const whole = size ?? files.reduce((sum, file) => sum + (file.size ?? 0), 0);
  if (whole === 0) return t("problem.times", times);
  return t("problem.was", { size: bytes(whole), ...times });
}

export function ProblemPage({ problem }: { problem: ProblemBody }) {
  const [title, text] = texts(problem);
  const tombstone = problem.tombstone;
  return (
    <Layout section={null}>
      <section class="card problem">
        <p class="status" aria-hidden="true">
          {problem.status}
        </p>
        <h1>{t(title)}</h1>
        {tombstone && <p class="note">{past(tombstone)}</p>}
        {tombstone?.digest && <p class="mono">{tombstone.digest}</p>}
        <p>{t(text)}</p>
        <p>
          <a class="button primary" href="/">
            {t("problem.home")}
          </a>
        </p>
        {problem.instance && <p class="note">{t("problem.request", { id: problem.instance })}</p>}
      </section>
    </Layout>
  );
}
