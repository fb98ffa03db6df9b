// The link: there from the first second, richer once the browser's digest is known.
import { useSignal } from "@preact/signals";
import { t } from "../i18n";
import { CopyButton } from "./copy";
import { QrIcon, ShareIcon } from "./icons";
import { Qr } from "./qr";

interface Props {
  link: string;
  note: string;
  title: string;
}

export function LinkBox({ link, note, title }: Props) {
  const open = useSignal(false);
  const share = () => void navigator.share({ title, url: link }).catch(() => {});
  return (
    <div class="link">
      <label class="linkfield">
        <span>{t("link.label")}</span>
        <input
          class="mono"
          readOnly
          value={link}
          onFocus={(event) => event.currentTarget.select()}
        />
      </label>
      <div class="row">
        <CopyButton text={link} what={t("link.label")} label={t("link.copy")} primary />
        {"share" in navigator && (
          <button type="button" onClick={share}>
            <ShareIcon />
            <span>{t("link.share")}</span>
          </button>
        )}
        <button type="button" aria-expanded={open.value} onClick={() => (open.value = !open.value)}>
          <QrIcon />
          <span>{t("link.qr")}</span>
        </button>
      </div>
      <p class="note">{note}</p>
      {open.value && <Qr text={link} />}
    </div>
  );
}
