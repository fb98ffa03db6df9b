// Numbers as people read them, in their language. Pure.

const UNITS = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte", "petabyte"] as const;

export function bytes(count: number, locale: string): string {
  let step = 0;
  let value = count;
  while (value >= 999.5 && step < UNITS.length - 1) {
    value /= 1000;
    step += 1;
  }
  const digits = step === 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  return new Intl.NumberFormat(locale, {
    style: "unit",
    unit: UNITS[step]!,
    unitDisplay: step === 0 ? "long" : "short",
    maximumFractionDigits: digits,
  }).format(value);
}

export function percent(part: number, whole: number, locale: string): string {
  const share = whole > 0 ? Math.min(1, part / whole) : 1;
  // 99.6 % is not done: rounding down keeps "100 %" for the end.
  return new Intl.NumberFormat(locale, { style: "percent" }).format(Math.floor(share * 100) / 100);
}

const STEPS = [
  ["day", 86_400],
  ["hour", 3600],
  ["minute", 60],
  ["second", 1],
] as const;

/** The two largest units that matter: "2 hr 5 min", or in whole words. */
export function duration(
  seconds: number,
  locale: string,
  unitDisplay: "short" | "long" = "short",
): string {
  let left = Math.max(0, Math.ceil(seconds));
  const words: string[] = [];
  for (const [unit, size] of STEPS) {
    const count = Math.floor(left / size);
    left -= count * size;
    if (count > 0 || (unit === "second" && words.length === 0)) {
      words.push(
        new Intl.NumberFormat(locale, { style: "unit", unit, unitDisplay }).format(count),
      );
    } else if (words.length > 0) break;
    if (words.length === 2) break;
  }
  return words.join(" ");
}

export function milliseconds(ms: number, locale: string): string {
  const [value, unit] = ms < 1000 ? [ms, "millisecond"] : [ms / 1000, "second"];
  return new Intl.NumberFormat(locale, { style: "unit", unit, maximumFractionDigits: 1 }).format(
    value,
  );
}

export function count(value: number, locale: string): string {
  return new Intl.NumberFormat(locale).format(value);
}

export function dateTime(at: string | number, locale: string): string {
  return new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short" }).format(
    new Date(at),
  );
}
