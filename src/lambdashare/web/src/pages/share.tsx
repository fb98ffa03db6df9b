// What a recipient sees, and the sender who comes back.
import { signal, useSignal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import type { Share, SharedFile } from "../api/types";
import { fragmentDigests, linkWithDigests } from "../hash/encoding";
import { t } from "../i18n";
import { follow } from "../live/follow";
import { record } from "../store/shares";
import { bytes } from "../text";
import { announce } from "../ui/announce";
import { Countdown, isOver } from "../ui/clock";
import { FileCard } from "../ui/file_card";
import { Check, Wait, Warning } from "../ui/icons";
import { Layout } from "../ui/layout";
import { LinkBox } from "../ui/link_box";
import { Owner } from "../ui/owner";
import { Receive } from "../ui/receive";
import { ProblemPage } from "./problem";

export function SharePage({ first }: { first: Share }) {
  const share = useMemo(() => signal(first), [first]);
  const followed = useMemo(() => follow(share), [share]);
  const named = useMemo(() => fragmentDigests(location.hash), []);
  const token = useSignal<string | null>(null);
  useEffect(() => {
    void record(first.id).then((kept) => (token.value = kept?.token ?? null));
    return () => followed.stop();
  }, []);
  useEffect(() => announce(t(`phase.${share.value.phase}`)), [share.value.phase]);
  if (followed.gone.value || isOver(share.value.expires_at)) {
    return (
      <ProblemPage
        problem={{ type: "urn:lambdashare:problem:expired", title: "Gone", status: 410 }}
      />
    );
  }
  const { files } = share.value;
  return (
    <Layout section={null}>
      <h1>{files.length === 1 ? files[0]!.name : t("title.share")}</h1>
      <p class="sub">
        {files.length > 1 && `${t("files", { count: files.length })} · `}
        {files.length > 1 && share.value.size !== null && `${bytes(share.value.size)} · `}
        <Countdown expiresAt={share.value.expires_at} />
      </p>
      <section class="card">
        <div class="files">
          {files.map((file) => (
            <FileCard
              key={file.n}
              file={file}
              alone={files.length === 1}
              named={files.length > 1}
              hashSpeed={followed.hashSpeed.value.get(file.n)}
            >
              <Verdict named={named.get(file.n)} file={file} />
              <Receive
                share={share.value.id}
                file={file}
                wanted={named.get(file.n) ?? file.digests.sha256 ?? null}
              />
              <Counted file={file} max={share.value.max_downloads} />
            </FileCard>
          ))}
        </div>
      </section>
      {token.value && (
        <section class="card">
          <h2>{t("owner.title")}</h2>
          <LinkBox
            link={senderLink(share.value)}
            note={senderLink(share.value).includes("#") ? t("link.with") : ""}
            title={files[0]?.name ?? "λShare"}
          />
          <Owner
            share={share}
            token={token.value}
            onDeleted={() => (followed.gone.value = "deleted")}
          />
        </section>
      )}
    </Layout>
  );
}

/** With the digests that the sender's browser gave, whatever link led here. */
function senderLink({ url, files }: Share): string {
  const given = files.flatMap((file): [number, string][] =>
    file.witnesses.browser ? [[file.n, file.witnesses.browser]] : [],
  );
  return linkWithDigests(url, new Map(given), files.length);
}

/** The digest in the link against the one the function computed. */
function Verdict({ named, file }: { named: string | undefined; file: SharedFile }) {
  if (!named) return null;
  const known = file.digests.sha256;
  const state = !known ? "wait" : known === named ? "match" : "mismatch";
  const icon = { wait: <Wait />, match: <Check />, mismatch: <Warning /> }[state];
  const tone = { wait: "open", match: "good", mismatch: "bad" }[state];
  return (
    <p class={`verdict ${tone}`} role={state === "mismatch" ? "alert" : "status"}>
      {icon}
      <span>{t(`verdict.${state}`)}</span>
    </p>
  );
}

function Counted({ file, max }: { file: SharedFile; max: number | null }) {
  const words = [
    max === null
      ? t("share.downloads", { count: file.downloads })
      : t("share.left", { count: file.downloads, max }),
    t("share.verifications", { count: file.verifications }),
  ];
  return <p class="note">{words.join(" · ")}</p>;
}
