// Lets ES modules be found along NODE_PATH, as in AWS's runtimes: below a function's own
// node_modules come its layers' and the AWS SDK's. `import` alone would not look there.
// https://docs.aws.amazon.com/lambda/latest/dg/nodejs-layers.html

import fs from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";

const folders = (process.env.NODE_PATH ?? "").split(":").filter((folder) => fs.existsSync(folder));
const BARE = /^(?![./#]|[a-z]+:)/;

/** As if a file beside each of the folders had asked. */
export const parents = folders.map((folder) => pathToFileURL(path.join(folder, "../x.mjs")).href);

const isLost = (error, specifier) => error.code === "ERR_MODULE_NOT_FOUND" && BARE.test(specifier);

/** For `module.register`: in a thread of its own. */
export async function resolve(specifier, context, next) {
  try {
    return await next(specifier, context);
  } catch (error) {
    if (!isLost(error, specifier)) throw error;
    for (const parentURL of parents) {
      const found = await next(specifier, { ...context, parentURL }).catch(() => undefined);
      if (found) return found;
    }
    throw error;
  }
}

/** For `module.registerHooks`. */
export function resolveAtOnce(specifier, context, next) {
  try {
    return next(specifier, context);
  } catch (error) {
    if (!isLost(error, specifier)) throw error;
    for (const parentURL of parents) {
      try {
        return next(specifier, { ...context, parentURL });
      } catch {
        // not there
      }
    }
    throw error;
  }
}
