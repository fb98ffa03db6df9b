// Where a content is shared.
import type { HashFile } from "../api/types";
import { t } from "../i18n";
import { bytes, dateTime } from "../text";
import { Down } from "./icons";

export function HashFiles({ files }: { files: HashFile[] }) {
  return (
    <ul class="found">
      {files.map((file) => (
        <li key={`${file.share}/${file.n}`}>
          <span>
            <b>{file.name}</b>{" "}
            <small>
              {bytes(file.size)} · {t("verify.until", { date: dateTime(file.expires_at) })}
            </small>
          </span>
          <span class="row">
            <a class="button" href={file.share_url}>
              {t("verify.open")}
              <span class="hidden">: {file.name}</span>
            </a>
            <a class="button primary" href={file.url} download>
              <Down />
              <span>{t("share.download")}</span>
              <span class="hidden"> {file.name}</span>
            </a>
          </span>
        </li>
      ))}
    </ul>
  );
}
