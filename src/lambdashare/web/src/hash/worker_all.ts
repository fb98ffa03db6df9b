// The Worker of the verify page: all seven sums.
import {
  createBLAKE3,
  createCRC32,
  createCRC64,
  createMD5,
  createSHA1,
  createSHA256,
  createSHA512,
} from "hash-wasm";
import { serve } from "./serve";

const CRC64NVME_POLYNOMIAL = "9a6c9329ac4bc9b5";

serve({
  sha256: createSHA256,
  blake3: () => createBLAKE3(),
  sha512: createSHA512,
  sha1: createSHA1,
  md5: createMD5,
  crc64nvme: () => createCRC64(CRC64NVME_POLYNOMIAL),
  crc32: () => createCRC32(),
});
