// The digest as a picture: 32 bytes, 32 bars. The same file always looks the same, another never.
// While the function reads, the bars rise in grey. Decorative: the sums say it in words.

const WIDTH = 6;
const GAP = 2;
const HEIGHT = 40;

export function Ribbon({ sha256, ratio }: { sha256: string | null; ratio: number }) {
  const values = sha256
    ? hexBytes(sha256)
    : Array.from({ length: 32 }, (_, index) => 70 + 50 * Math.sin(index * 0.7));
  return (
    <svg
      class={sha256 ? "ribbon known" : "ribbon"}
      viewBox={`0 0 ${32 * (WIDTH + GAP) - GAP} ${HEIGHT}`}
      aria-hidden="true"
      preserveAspectRatio="none"
    >
      {values.map((value, index) => {
        const height = 6 + (value / 255) * (HEIGHT - 6);
        const reached = sha256 !== null || index < ratio * 32;
        return (
          <rect
            key={index}
            class={reached ? `tint${value % 4}` : "ahead"}
            x={index * (WIDTH + GAP)}
            y={HEIGHT - height}
            width={WIDTH}
            height={height}
            rx="2"
          />
        );
      })}
    </svg>
  );
}

function hexBytes(hex: string): number[] {
  return (hex.match(/../g) ?? []).map((pair) => Number.parseInt(pair, 16));
}
