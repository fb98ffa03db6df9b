// A bar. `ratio` from 0 to 1; null while nothing is known.

export function Progress({
  label,
  ratio,
  tone = "go",
}: {
  label: string;
  ratio: number | null;
  tone?: "go" | "hash" | "stop";
}) {
  const percent = ratio === null ? 0 : Math.floor(Math.min(1, ratio) * 100);
  const value = ratio === null ? {} : { "aria-valuenow": percent };
  return (
    <div
      class={`bar ${tone}`}
      role="progressbar"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={100}
      {...value}
    >
      <div
        class={ratio === null ? "fill unknown" : "fill"}
        style={{ width: ratio === null ? "30%" : `${(ratio * 100).toFixed(1)}%` }}
      />
    </div>
  );
}
