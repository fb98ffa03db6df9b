// The entry: finds out which page this is, and mounts it over the plain markup.
import "./style/app.css";
import { effect } from "@preact/signals";
import { h, render, type VNode } from "preact";
import type { HashMatch, ProblemBody, Share } from "./api/types";
import { type Key, language, preferred, speak, stored, t } from "./i18n";
import { HashPage } from "./pages/hash";
import { Home } from "./pages/home";
import { ProblemPage } from "./pages/problem";
import { SharePage } from "./pages/share";
import { Verify } from "./pages/verify";
import { startTheme } from "./ui/theme";

interface Page {
  title: Key | null;
  load: () => VNode | Promise<VNode>;
}

// Only the charts wait to be asked for: uPlot is as big as all the rest.
const pages: Record<string, Page> = {
  home: { title: "title.home", load: () => <Home /> },
  verify: { title: "title.verify", load: () => <Verify /> },
  analytics: {
    title: "title.analytics",
    load: async () => h((await import("./pages/analytics")).Analytics, {}),
  },
  share: { title: null, load: () => <SharePage first={pageData<Share>()} /> },
  hash: { title: "title.hash", load: () => <HashPage match={pageData<HashMatch>()} /> },
  error: { title: "title.problem", load: () => <ProblemPage problem={pageData<ProblemBody>()} /> },
};

function pageData<T>(): T {
  return JSON.parse(document.getElementById("data")?.textContent ?? "null") as T;
}

async function start(): Promise<void> {
  const root = document.getElementById("app");
  const page = pages[root?.dataset.page ?? ""];
  if (!root || !page) return;
  startTheme();
  const [content] = await Promise.all([
    page.load(),
    speak(preferred(navigator.languages, stored())),
  ]);
  const { title } = page;
  if (title)
    effect(() => {
      document.title = language.value && `${t(title)} · λShare`;
    });
  root.replaceChildren();
  render(content, root);
}

void start();
