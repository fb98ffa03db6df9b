// The seven sums, each ready to be copied.
import { ALGORITHMS, type Algorithm, type Digests } from "../api/types";
import { t } from "../i18n";
import { CopyButton } from "./copy";

export const NAMES: Record<Algorithm, string> = {
  sha256: "SHA-256",
  blake3: "BLAKE3",
  sha512: "SHA-512",
  sha1: "SHA-1",
  md5: "MD5",
  crc64nvme: "CRC64NVME",
  crc32: "CRC32",
};

interface Props {
  name: string;
  digests: Digests;
  /** Offer `sha256sum -c` files: only for content that the server knows. */
  known?: boolean;
}

export function Sums({ name, digests, known = false }: Props) {
  const there = ALGORITHMS.filter((algorithm) => digests[algorithm]);
  return (
    <>
      <table class="sums">
        <caption class="hidden">{t("sums.of", { name })}</caption>
        <thead class="hidden">
          <tr>
            <th scope="col">{t("sums.algorithm")}</th>
            <th scope="col">{t("sums.value")}</th>
            <th scope="col">{t("copy")}</th>
          </tr>
        </thead>
        <tbody>
          {there.map((algorithm) => (
            <tr key={algorithm}>
              <th scope="row">{NAMES[algorithm]}</th>
              <td class="mono">{digests[algorithm]}</td>
              <td>
                <CopyButton text={digests[algorithm]!} what={`${NAMES[algorithm]}, ${name}`} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {known && digests.sha256 && (
        <p class="note">
          <a href={`/h/${digests.sha256}`}>/h/{digests.sha256.slice(0, 12)}…</a>
          {" · "}
          <a href={`/h/${digests.sha256}.sha256`}>{t("sums.file", { tool: "sha256sum -c" })}</a>
        </p>
      )}
    </>
  );
}
