// What runs inside a Node.js worker: fetches events from the Runtime API, calls the handler, posts
// its answer. CommonJS and ES modules, async and callback handlers, streamed answers.
// Knows nothing of cloudlet but the Runtime API's address in the environment.
// https://docs.aws.amazon.com/lambda/latest/dg/nodejs-handler.html

import fs from "node:fs";
import http from "node:http";
import https from "node:https";
import module, { createRequire } from "node:module";
import path from "node:path";
import { Writable } from "node:stream";
import { pathToFileURL, urlToHttpOptions } from "node:url";
import { format } from "node:util";
import { parents, resolveAtOnce } from "./node_resolution.mjs";

const env = process.env;
const api = new URL(`http://${env.AWS_LAMBDA_RUNTIME_API}`);
const base = `${api.pathname.replace(/\/$/, "")}/2018-06-01/runtime`;
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
const STREAMING = Symbol("streamed answer");
const PRELUDE = "application/vnd.awslambda.http-integration-response";
const LEVELS = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"];
const SDK_HINT =
  "[cloudlet] npm could not install the AWS SDK for JavaScript, as cloudlet's log tells:" +
  " deploy the function again, or put it into its node_modules or a layer.";
let running; // the invocation under way

function call(method, target, headers = {}, own = agent) {
  return http.request({
    host: api.hostname,
    port: api.port,
    path: base + target,
    method,
    headers,
    agent: own,
  });
}

function exchange(method, target, body, headers) {
  return new Promise((resolve, reject) => {
    const request = call(method, target, { ...headers, "Content-Length": Buffer.byteLength(body) });
    request.on("error", (error) => {
      // A kept connection may have been closed while a handler was busy for long.
      if (request.reusedSocket) exchange(method, target, body, headers).then(resolve, reject);
      else reject(error);
    });
    request.on("response", (response) => {
      const chunks = [];
      response.on("data", (chunk) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () => {
        resolve({
          status: response.statusCode,
          headers: response.headers,
          body: Buffer.concat(chunks),
        });
      });
    });
    request.end(body);
  });
}

// --- Logs

function log(level, parts) {
  const wanted = LEVELS.indexOf(env.AWS_LAMBDA_LOG_LEVEL ?? "TRACE");
  if (LEVELS.indexOf(level) < wanted) return;
  const now = new Date().toISOString();
  const id = running?.id;
  let line = `${now}\t${id}\t${level}\t${format(...parts)}`;
  if (env.AWS_LAMBDA_LOG_FORMAT === "JSON") {
    const message = parts.length === 1 && typeof parts[0] === "object" ? parts[0] : format(...parts);
    const shown = message instanceof Error ? told(message) : message;
    line = JSON.stringify({ timestamp: now, level, requestId: id, message: shown });
  }
  fs.writeSync(1, `${line.replaceAll("\n", "\r")}\n`);
}

const METHODS = { log: "INFO", info: "INFO", debug: "DEBUG", trace: "TRACE", warn: "WARN" };
for (const [method, level] of Object.entries({ ...METHODS, error: "ERROR" })) {
  console[method] = (...parts) => log(level, parts);
}

// --- Errors, as Lambda shows them

function told(error) {
  if (!(error instanceof Error)) {
    return { errorType: typeof error, errorMessage: String(error), trace: [] };
  }
  return {
    errorType: error.name.replaceAll("\u007f", "%7F"),
    errorMessage: error.message,
    trace: (error.stack ?? "").split("\n"),
  };
}

async function postError(target, error, title) {
  const document = told(error);
  log("ERROR", [`${title} \t${JSON.stringify({ ...document, trace: undefined, stack: document.trace })}`]);
  const headers = {
    "Content-Type": "application/json",
    "Lambda-Runtime-Function-Error-Type": encodeURIComponent(document.errorType),
  };
  await exchange("POST", target, JSON.stringify(document), headers);
}

function named(name, error) {
  error.name = name;
  return error;
}

async function crash(name, error) {
  const target = running ? `/invocation/${running.id}/error` : "/init/error";
  await postError(target, name ? named(name, error) : error, "Uncaught Exception");
  process.exit(1);
}

process.on("uncaughtException", (error) => crash("", error));
process.on("unhandledRejection", (reason) => {
  crash("Runtime.UnhandledPromiseRejection", new Error(String(reason?.stack ?? reason)));
});

// --- Streamed answers

class ResponseStream extends Writable {
  constructor(id) {
    super({ highWaterMark: 64 * 1024 });
    this.id = id;
    this.contentType = "application/octet-stream";
    this.prelude = undefined;
    this.request = undefined;
    this.answered = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.once("error", reject);
    });
    this.answered.catch(() => undefined);
  }

  /** Anything else than text and bytes goes as JSON. */
  write(chunk, ...rest) {
    const isRaw = typeof chunk === "string" || chunk instanceof Uint8Array;
    return super.write(isRaw ? chunk : JSON.stringify(chunk), ...rest);
  }

  setContentType(type) {
    this.contentType = type;
  }

  open() {
    const headers = {
      "Content-Type": this.contentType,
      "Lambda-Runtime-Function-Response-Mode": "streaming",
      "Transfer-Encoding": "chunked",
      Trailer: "Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body",
    };
    this.request = call("POST", `/invocation/${this.id}/response`, headers, false);
    this.request.on("error", (error) => this.destroy(error));
    this.request.on("response", (response) => {
      response.resume();
      response.on("end", this.resolve);
    });
    if (this.prelude) this.request.write(this.prelude);
    this.request.flushHeaders();
  }

  _write(chunk, _encoding, done) {
    if (!this.request) this.open();
    if (this.request.write(chunk)) done();
    else this.request.once("drain", done);
  }

  _final(done) {
    if (!this.request) this.open();
    this.request.end();
    done();
  }

  fail(error) {
    const document = told(error);
    log("ERROR", [`Invoke Error \t${JSON.stringify(document)}`]);
    this.request.addTrailers({
      "Lambda-Runtime-Function-Error-Type": encodeURIComponent(document.errorType),
      "Lambda-Runtime-Function-Error-Body": Buffer.from(JSON.stringify(document)).toString("base64"),
    });
    this.request.end();
  }
}

globalThis.awslambda = {
  streamifyResponse(handler) {
    handler[STREAMING] = true;
    return handler;
  },
  HttpResponseStream: {
    from(stream, prelude) {
      stream.setContentType(PRELUDE);
      stream.prelude = Buffer.concat([Buffer.from(JSON.stringify(prelude ?? {})), Buffer.alloc(8)]);
      return stream;
    },
  },
};

async function stream(handler, event, context) {
  const response = new ResponseStream(running.id);
  try {
    await handler(event, response, context);
    if (!response.writableEnded) await new Promise((resolve) => response.once("finish", resolve));
    await response.answered;
  } catch (error) {
    if (!response.request) throw error;
    response.fail(error);
    await response.answered;
  }
}

// --- Plain answers

function contextOf(headers, settle) {
  const deadline = Number(headers["lambda-runtime-deadline-ms"]);
  const parsed = (text) => (text ? JSON.parse(text) : undefined);
  return {
    callbackWaitsForEmptyEventLoop: true,
    functionName: env.AWS_LAMBDA_FUNCTION_NAME,
    functionVersion: env.AWS_LAMBDA_FUNCTION_VERSION,
    memoryLimitInMB: env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: env.AWS_LAMBDA_LOG_STREAM_NAME,
    awsRequestId: headers["lambda-runtime-aws-request-id"],
    invokedFunctionArn: headers["lambda-runtime-invoked-function-arn"],
    clientContext: parsed(headers["lambda-runtime-client-context"]),
    identity: parsed(headers["lambda-runtime-cognito-identity"]),
    getRemainingTimeInMillis: () => deadline - Date.now(),
    done: (error, result) => settle(error, result, false),
    succeed: (result) => settle(null, result, false),
    fail: (error) => settle(error ?? "handled", undefined, false),
  };
}

/** The handler's result: a promise's at once, a callback's when nothing else is left to do. */
function plain(handler, event, headers) {
  return new Promise((resolve, reject) => {
    const settle = (error, result, waits) => {
      const finish = () => (error === null || error === undefined ? resolve(result) : reject(error));
      process.removeAllListeners("beforeExit");
      if (waits && context.callbackWaitsForEmptyEventLoop) process.once("beforeExit", finish);
      else finish();
    };
    const context = contextOf(headers, settle);
    process.once("beforeExit", () => resolve(null)); // neither called back nor settled
    const result = handler(event, context, (error, value) => settle(error, value, true));
    if (typeof result?.then === "function") result.then(resolve, reject);
  }).finally(() => process.removeAllListeners("beforeExit"));
}

async function answer(handler, event, headers) {
  const target = `/invocation/${running.id}`;
  try {
    if (handler[STREAMING]) {
      await stream(handler, event, contextOf(headers, () => undefined));
      return;
    }
    const body = JSON.stringify((await plain(handler, event, headers)) ?? null) ?? "null";
    await exchange("POST", `${target}/response`, body, { "Content-Type": "application/json" });
  } catch (error) {
    await postError(`${target}/error`, error, "Invoke Error");
  }
}

// --- What AWS's machines have: packages along NODE_PATH, and the gateway under its own address

function findPackages() {
  if (module.registerHooks) module.registerHooks({ resolve: resolveAtOnce });
  else if (parents.length > 0) module.register("./node_resolution.mjs", import.meta.url);
}

const EXECUTE_API = /^[^.]+\.execute-api\.[^.]+\.amazonaws\.com$/;

/** Code that was written for AWS stays unchanged: requests to a gateway's AWS address go to this
 * cloud, signed and with the Host header as for AWS. Custom resources take it for granted that
 * CloudFormation listens at port 443. */
function steerClients() {
  if (!env.AWS_ENDPOINT_URL) return;
  const cloud = new URL(env.AWS_ENDPOINT_URL);
  const plain = https.request;
  https.request = (...input) => {
    const parts = input.filter((part) => typeof part !== "function");
    const options = Object.assign({}, ...parts.map(optionsOf));
    const host = options.hostname ?? options.host ?? "";
    const isCloud = host === cloud.hostname && Number(options.port || 443) === 443;
    if (!isCloud && !EXECUTE_API.test(host)) return plain(...input);
    const headers = { ...options.headers };
    const isNamed = Object.keys(headers).some((name) => name.toLowerCase() === "host");
    if (!isNamed) headers.host = isCloud ? cloud.host : host;
    const { hostname, port, protocol } = cloud;
    const there = { protocol, host: hostname, hostname, port, agent: undefined, headers };
    const done = input.find((part) => typeof part === "function");
    return http.request({ ...options, ...there }, done);
  };
  https.get = (...input) => https.request(...input).end();
  module.syncBuiltinESMExports();
}

function optionsOf(part) {
  if (typeof part === "string") return urlToHttpOptions(new URL(part));
  return part instanceof URL ? urlToHttpOptions(part) : part;
}

// --- The handler

async function load() {
  const root = env.LAMBDA_TASK_ROOT;
  const [folder, name] = [path.dirname(env._HANDLER), path.basename(env._HANDLER)];
  const dot = name.indexOf(".");
  if (dot < 1) throw named("Runtime.MalformedHandlerName", new Error("Bad handler"));
  const place = path.resolve(root, folder, name.slice(0, dot));
  const members = name.slice(dot + 1).split(".");
  let found = await imported(place, path.join(folder, name.slice(0, dot)));
  for (const member of members) found = found?.[member];
  const shown = `${env._HANDLER} is undefined or not exported`;
  if (!found) throw named("Runtime.HandlerNotFound", new Error(shown));
  if (typeof found !== "function") {
    throw named("Runtime.HandlerNotFound", new Error(`${env._HANDLER} is not a function`));
  }
  return found;
}

async function imported(place, module) {
  const extension = ["", ".js", ".mjs", ".cjs"].find((end) => isFile(place + end));
  try {
    let file = place + extension;
    if (extension === undefined) {
      file = createRequire(path.join(env.LAMBDA_TASK_ROOT, "x")).resolve(module);
    }
    const loaded = await import(pathToFileURL(file).href);
    return loaded.default && !isModule(loaded) ? loaded.default : loaded;
  } catch (error) {
    if (/@aws-sdk\/|'aws-sdk'/.test(error.message)) log("ERROR", [SDK_HINT]);
    if (error.code === "MODULE_NOT_FOUND" || error.code === "ERR_MODULE_NOT_FOUND") {
      throw named("Runtime.ImportModuleError", new Error(`Error: ${error.message}`));
    }
    if (error instanceof SyntaxError) {
      throw named("Runtime.UserCodeSyntaxError", new Error(`SyntaxError: ${error.message}`));
    }
    throw error;
  }
}

/** CommonJS exports come as `default`, and what of them could be foretold beside it. */
function isModule(loaded) {
  const exported = loaded.default;
  const names = Object.keys(loaded).filter((name) => name !== "default" && name !== "module.exports");
  const isForetold = typeof exported === "object" && names.every((name) => name in exported);
  return !isForetold;
}

function isFile(file) {
  return fs.statSync(file, { throwIfNoEntry: false })?.isFile() ?? false;
}

async function main() {
  let handler;
  try {
    findPackages();
    steerClients();
    handler = await load();
  } catch (error) {
    await postError("/init/error", error, "Uncaught Exception");
    process.exit(1);
  }
  for (;;) {
    const { status, headers, body } = await exchange("GET", "/invocation/next", "");
    if (status !== 200) process.exit(0);
    running = { id: headers["lambda-runtime-aws-request-id"] };
    env._X_AMZN_TRACE_ID = headers["lambda-runtime-trace-id"] ?? "";
    await answer(handler, JSON.parse(body.toString()), headers);
    running = undefined;
  }
}

main();
