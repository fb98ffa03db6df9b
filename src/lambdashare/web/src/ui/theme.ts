// Light or dark: what the system says, until chosen by hand.
import { signal } from "@preact/signals";

export type Theme = "light" | "dark";

const STORED = "lambdashare.theme";
const system = matchMedia("(prefers-color-scheme: dark)");

export const theme = signal<Theme>("light");

export function startTheme(): void {
  const chosen = readChoice();
  if (chosen) document.documentElement.dataset.theme = chosen;
  theme.value = chosen ?? (system.matches ? "dark" : "light");
  system.addEventListener("change", () => {
    if (!document.documentElement.dataset.theme) theme.value = system.matches ? "dark" : "light";
  });
}

export function toggleTheme(): void {
  theme.value = theme.peek() === "dark" ? "light" : "dark";
  document.documentElement.dataset.theme = theme.peek();
  try {
    localStorage.setItem(STORED, theme.peek());
  } catch {
    // Storage refused: the choice lasts as long as the page.
  }
}

function readChoice(): Theme | null {
  try {
    const value = localStorage.getItem(STORED);
    return value === "light" || value === "dark" ? value : null;
  } catch {
    return null;
  }
}
