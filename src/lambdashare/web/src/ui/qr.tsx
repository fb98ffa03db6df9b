// The link as a QR code, always dark on light: scanners expect it so.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { t } from "../i18n";

interface Drawing {
  path: string;
  size: number;
}

const QUIET = 4;

export function Qr({ text }: { text: string }) {
  const drawing = useSignal<Drawing | null>(null);
  useEffect(() => {
    let wanted = true;
    void draw(text).then((found) => wanted && (drawing.value = found));
    return () => {
      wanted = false;
    };
  }, [text]);
  if (!drawing.value) return <div class="qr" />;
  const { path, size } = drawing.value;
  return (
    <div class="qr">
      <svg
        viewBox={`0 0 ${size} ${size}`}
        role="img"
        aria-label={t("link.qr")}
        shape-rendering="crispEdges"
      >
        <rect width={size} height={size} fill="#fff" />
        <path d={path} fill="#000" />
      </svg>
    </div>
  );
}

async function draw(text: string): Promise<Drawing> {
  const { generate } = await import("lean-qr");
  const code = generate(text);
  let path = "";
  for (let y = 0; y < code.size; y += 1) {
    for (let x = 0; x < code.size; x += 1)
      if (code.get(x, y)) path += `M${x + QUIET} ${y + QUIET}h1v1h-1z`;
  }
  return { path, size: code.size + 2 * QUIET };
}
