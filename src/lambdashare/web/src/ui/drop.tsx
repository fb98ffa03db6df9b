// Native, labelled file inputs; and the whole page as a drop and paste target.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { fromList, fromPaste, fromTransfer, type Picked } from "../store/files";

type Take = (picked: Picked[]) => void;

interface ChooseProps {
  label: string;
  onPick: (files: File[]) => void;
  folder?: boolean;
  multiple?: boolean;
  primary?: boolean;
  /** Says more than the label where several such buttons stand on a page. */
  name?: string;
}

export function Choose({
  label,
  onPick,
  folder = false,
  multiple = true,
  primary = false,
  name,
}: ChooseProps) {
  const pick = (input: HTMLInputElement) => {
    const files = [...(input.files ?? [])];
    input.value = ""; // so that the same file can be chosen again
    if (files.length > 0) onPick(files);
  };
  return (
    <label class={primary ? "button primary" : "button"}>
      <input
        type="file"
        multiple={multiple}
        {...(folder ? { webkitdirectory: true } : {})}
        {...(name ? { "aria-label": name } : {})}
        onChange={(event) => pick(event.currentTarget)}
      />
      <span>{label}</span>
    </label>
  );
}

export const pickedFrom = (files: File[]): Picked[] => fromList(files);

/** Takes drops and pastes anywhere on the page; the overlay says so while something hovers. */
export function PageDrop({ onTake, words }: { onTake: Take; words: string }) {
  const over = useSignal(false);
  useEffect(() => {
    const stop = new AbortController();
    const on = <K extends keyof DocumentEventMap>(
      name: K,
      act: (event: DocumentEventMap[K]) => void,
    ) => document.addEventListener(name, act, { signal: stop.signal });
    let depth = 0;
    on("dragenter", (event) => {
      if (!event.dataTransfer?.types.includes("Files")) return;
      depth += 1;
      over.value = true;
    });
    on("dragleave", () => {
      depth = Math.max(0, depth - 1);
      if (depth === 0) over.value = false;
    });
    on("dragover", (event) => event.preventDefault());
    on("drop", (event) => {
      event.preventDefault();
      depth = 0;
      over.value = false;
      if (event.dataTransfer) void fromTransfer(event.dataTransfer).then(onTake);
    });
    on("paste", (event) => {
      if (event.clipboardData && event.clipboardData.files.length > 0) {
        event.preventDefault();
        onTake(fromPaste(event.clipboardData, stamp()));
      }
    });
    return () => stop.abort();
  }, [onTake]);
  return over.value ? (
    <div class="overlay" aria-hidden="true">
      <p>{words}</p>
    </div>
  ) : null;
}

const stamp = () => new Date().toISOString().slice(0, 19).replaceAll(":", "-");
