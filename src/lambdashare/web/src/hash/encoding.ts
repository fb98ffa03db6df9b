// Digests as people and protocols write them. Pure.

export function bytesToBase64(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes));
}

export function hexToBase64(hex: string): string {
  return bytesToBase64(
    Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16)),
  );
}

const SHA256_HEX = /^[0-9a-f]{64}$/;

/** The digests a link carries: `#sha256=<hex>` for file 1, `#sha256.2=<hex>` for file 2, joined by `&`. */
export function fragmentDigests(fragment: string): Map<number, string> {
  const found = new Map<number, string>();
  for (const field of fragment.replace(/^#/, "").split("&")) {
    const match = /^sha256(?:\.(\d+))?=(.*)$/i.exec(field);
    const hex = match?.[2]?.toLowerCase() ?? "";
    if (match && SHA256_HEX.test(hex)) found.set(Number(match[1] ?? 1), hex);
  }
  return found;
}

/** A link beyond this is no longer one that people pass on; then the page's own sums must do. */
const LINK_DIGESTS_MAX = 8;

export function linkWithDigests(
  url: string,
  digests: ReadonlyMap<number, string>,
  count: number,
): string {
  if (count > LINK_DIGESTS_MAX || digests.size < count) return url;
  const fields = [...digests]
    .sort(([a], [b]) => a - b)
    .map(([n, hex]) => (n === 1 ? `sha256=${hex}` : `sha256.${n}=${hex}`));
  return `${url}#${fields.join("&")}`;
}

/** How long base64 of the sums is without its padding; of the shortest, words look the same. */
const BASE64 = [22, 27, 43, 86];
const BASE64_PADDED = [6, 11, ...BASE64];

/** What may be looked up: hex of a full digest or of 12 digits and more, or base64 of a full one. */
export function looksLikeDigest(text: string): boolean {
  const trimmed = text.trim();
  if (/^[0-9a-fA-F]+$/.test(trimmed)) {
    return trimmed.length === 8 || (trimmed.length >= 12 && trimmed.length <= 128);
  }
  const [, body, padding] = /^([A-Za-z0-9+/_-]*)(={0,2})$/.exec(trimmed) ?? [];
  return (padding ? BASE64_PADDED : BASE64).includes(body?.length ?? 0);
}
