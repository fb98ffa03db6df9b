// The Worker of every upload and download: SHA-256 alone, so that it is small.
import { createSHA256 } from "hash-wasm";
import { serve } from "./serve";

serve({ sha256: createSHA256 });
