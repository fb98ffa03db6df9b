// The frame around every page.
import type { ComponentChildren } from "preact";
import { choose, language, t } from "../i18n";
import { live } from "../live/socket";
import { Announcer } from "./announce";
import { Mark, Moon, Sun, Warning } from "./icons";
import { theme, toggleTheme } from "./theme";

export type Section = "send" | "verify" | "analytics" | null;

export function Layout({ section, children }: { section: Section; children: ComponentChildren }) {
  return (
    <>
      <a class="skip" href="#content">
        {t("skip")}
      </a>
      <header class="top">
        <a class="brand" href="/">
          <Mark />
          <span>λShare</span>
        </a>
        <nav aria-label={t("nav.label")}>
          <NavLink to="/" name={t("nav.send")} current={section === "send"} />
          <NavLink to="/verify" name={t("nav.verify")} current={section === "verify"} />
          <NavLink to="/analytics" name={t("nav.analytics")} current={section === "analytics"} />
        </nav>
        <Toggles />
      </header>
      <main id="content" tabIndex={-1}>
        {children}
      </main>
      <footer class="bottom">
        <p>
          {t("footer")} <a href="/v1/openapi.json">{t("footer.api")}</a>
        </p>
      </footer>
      <LostConnection />
      <Announcer />
    </>
  );
}

function NavLink({ to, name, current }: { to: string; name: string; current: boolean }) {
  return (
    <a href={to} {...(current ? { "aria-current": "page" as const } : {})}>
      {name}
    </a>
  );
}

function Toggles() {
  const dark = theme.value === "dark";
  const other = language.value === "en" ? "de" : "en";
  return (
    <div class="toggles">
      <button
        type="button"
        class="quiet"
        lang={other}
        aria-label={t("language")}
        title={t("language")}
        onClick={() => void choose(other)}
      >
        {other.toUpperCase()}
      </button>
      <button
        type="button"
        class="quiet"
        aria-label={t(dark ? "theme.light" : "theme.dark")}
        title={t(dark ? "theme.light" : "theme.dark")}
        onClick={toggleTheme}
      >
        {dark ? <Sun /> : <Moon />}
      </button>
    </div>
  );
}

function LostConnection() {
  return (
    <div role="status" class="lost" hidden={live.connected.value}>
      {!live.connected.value && (
        <>
          <Warning /> {t("live.lost")}
        </>
      )}
    </div>
  );
}
