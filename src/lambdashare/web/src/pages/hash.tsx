// Files found by any of their sums.
import type { HashMatch } from "../api/types";
import { t } from "../i18n";
import { bytes } from "../text";
import { HashFiles } from "../ui/hash_files";
import { Layout } from "../ui/layout";
import { Ribbon } from "../ui/ribbon";
import { Sums } from "../ui/sums";

export function HashPage({ match }: { match: HashMatch }) {
  return (
    <Layout section={null}>
      <h1>{t("hash.lead")}</h1>
      <p class="sub">
        {bytes(match.size)} · {t("hash.same", { count: match.files.length })}
      </p>
      <section class="card">
        <Ribbon sha256={match.digests.sha256 ?? null} ratio={1} />
        <h2>{t("hash.where")}</h2>
        <HashFiles files={match.files} />
        <h2>{t("sums")}</h2>
        <Sums name={match.files[0]?.name ?? match.digest} digests={match.digests} known />
      </section>
    </Layout>
  );
}
