// The page's language: chosen by hand, else the first of the browser's that we speak.
import { signal } from "@preact/signals";
import { en, type Key } from "./en";

export type Language = "en" | "de";
export type { Key };

const STORED = "lambdashare.language";

const english: Record<Key, string> = en;
const texts = signal(english);
export const language = signal<Language>("en");

export async function speak(next: Language): Promise<void> {
  texts.value = next === "de" ? (await import("./de")).de : english;
  language.value = next;
  document.documentElement.lang = next;
}

export function choose(next: Language): Promise<void> {
  try {
    localStorage.setItem(STORED, next);
  } catch {
    // Storage refused: the choice lasts as long as the page.
  }
  return speak(next);
}

export function preferred(wanted: readonly string[], stored: string | null): Language {
  if (stored === "en" || stored === "de") return stored;
  const known = wanted
    .map((tag) => tag.slice(0, 2).toLowerCase())
    .find((tag) => tag === "en" || tag === "de");
  return known === "de" ? "de" : "en";
}

export function stored(): string | null {
  try {
    return localStorage.getItem(STORED);
  } catch {
    return null;
  }
}

/** `count` chooses between "one|other". */
export function t(key: Key, values: Record<string, string | number> = {}): string {
  return fill(texts.value[key], values);
}

export function fill(text: string, values: Record<string, string | number>): string {
  const [one, other] = text.split("|");
  const chosen = other !== undefined && values.count !== 1 ? other : one!;
  return chosen.replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole));
}
