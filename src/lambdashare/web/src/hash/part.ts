// SHA-256 of one part, as S3 wants it: base64.
import type { Hasher } from "./hasher";
import { bytesToBase64, hexToBase64 } from "./encoding";

const WEBCRYPTO_MAX = 64 << 20;

/** WebCrypto where it exists (https and localhost) and the part fits in memory; else the Worker, block by block. */
export async function partDigest(part: Blob, hasher: () => Hasher): Promise<string> {
  const subtle: SubtleCrypto | undefined = globalThis.crypto?.subtle;
  if (subtle && part.size <= WEBCRYPTO_MAX) {
    return bytesToBase64(new Uint8Array(await subtle.digest("SHA-256", await part.arrayBuffer())));
  }
  const { sha256 } = await hasher().blob(part, ["sha256"]);
  return hexToBase64(sha256!);
}
