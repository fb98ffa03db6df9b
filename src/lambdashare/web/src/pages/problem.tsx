// Errors as pages: what is the matter, and what to do now.
import type { ProblemBody } from "../api/types";
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
        {tombstone?.created_at && tombstone.expired_at && (
          <p class="note">
            {t("problem.was", {
              size: typeof tombstone.size === "number" ? bytes(tombstone.size) : "–",
              from: dateTime(tombstone.created_at),
              to: dateTime(tombstone.expired_at),
            })}
          </p>
        )}
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
