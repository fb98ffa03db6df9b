// What a screen reader hears of progress: politely, at every tenth, never the same twice.
import { signal } from "@preact/signals";

const spoken = signal("");

export function announce(text: string): void {
  if (spoken.peek() !== text) spoken.value = text;
}

export function Announcer() {
  return (
    <p class="hidden" role="status" aria-live="polite">
      {spoken.value}
    </p>
  );
}

/** Calls `say` whenever another tenth is reached. */
export function tenths(say: (tenth: number) => void): (part: number, whole: number) => void {
  let last = 0;
  return (part, whole) => {
    const tenth = whole > 0 ? Math.floor((part / whole) * 10) : 10;
    if (tenth > last) say(tenth);
    last = tenth;
  };
}
