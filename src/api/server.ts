/** The API as one function from request to response: versions, common headers, one error handler, and the routers. */

import { Hono } from "hono";
import { invalid, notFound } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";
import { type ApiVersion, apiVersion, type Bindings, type Env, versionText } from "./context.ts";
import { errorResponse } from "./errors.ts";
import type { Handler } from "./listen.ts";

export const MIN_API: ApiVersion = apiVersion(1, 24);
export const MAX_API: ApiVersion = apiVersion(1, 50);

/** What the headers of every answer say. */
export interface ServerIdentity {
  /** The engine's own version. */
  readonly version: string;
}

/** @throws invalid in the words that clients match */
function negotiate(text: string | undefined): ApiVersion {
  if (text === undefined) return MAX_API;
  const [major = 0, minor = 0] = text.split(".").map(Number);
  const version = apiVersion(major, minor);
  if (version < MIN_API)
    throw invalid(
      `client version ${text} is too old. Minimum supported API version is ${versionText(MIN_API)}, please upgrade your client to a newer version`,
    );
  if (version > MAX_API)
    throw invalid(`client version ${text} is too new. Maximum supported API version is ${versionText(MAX_API)}`);
  return version;
}

function createApp(routers: readonly Hono<Env>[], log: Logger): Hono<Env> {
  const app = new Hono<Env>({ strict: false });
  for (const router of routers) app.route("/", router);
  app.options("*", () => new Response(null, { status: 200 }));
  app.notFound(() => errorResponse(notFound("page not found")));
  app.onError((error, c) => {
    const response = errorResponse(error);
    const fields = { method: c.req.method, path: c.req.path, status: response.status, error };
    if (c.env.signal.aborted) log.debug("request given up", fields);
    else if (response.status === 500) log.error("request failed", { ...fields, stack: error.stack });
    else log.debug("request refused", fields);
    return response;
  });
  return app;
}

/** The same request to another address. Made of a Request, Bun's keeps all of the body in memory until the other is gone. */
function moved({ method, headers, body, signal }: Request, url: string): Request {
  return new Request(url, { method, headers, signal, ...(body && { body, duplex: "half" }) });
}

/** @returns the API: `/v1.NN/path` and `/path` alike. */
export function createApi(routers: readonly Hono<Env>[], identity: ServerIdentity, log: Logger): Handler {
  const app = createApp(routers, log);
  const common = {
    "Api-Version": versionText(MAX_API),
    "Docker-Experimental": "false",
    Ostype: "linux",
    Server: `Docker/${identity.version} (linux)`,
  };
  const answer = async (request: Request, connection: Omit<Bindings, "version">): Promise<Response> => {
    const [, origin = "", version, path = "/"] =
      /^(https?:\/\/[^/]*)(?:\/v(\d+\.\d+)(?=\/|$))?(.*)$/s.exec(request.url) ?? [];
    try {
      const bindings = { ...connection, version: negotiate(version) };
      return await app.fetch(version ? moved(request, `${origin}${path}`) : request, bindings);
    } catch (error) {
      return errorResponse(error);
    }
  };
  return async (request, connection) => {
    const response = await answer(request, connection);
    for (const [name, value] of Object.entries(common)) response.headers.set(name, value);
    return response;
  };
}
