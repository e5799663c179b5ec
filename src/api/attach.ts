/** Coupling a client with a container's stdio: over a taken connection, and over WebSocket. Source: Docker Engine API, ContainerAttach, ContainerAttachWebsocket. */

import type { Duplex } from "node:stream";
import { conflict } from "../base/errors.ts";
import type { AttachRequest } from "../container/attachments.ts";
import type { Containers } from "../container/containers.ts";
import { phaseRefusals } from "../container/pause.ts";
import type { Container } from "../container/records.ts";
import { parseDetachKeys } from "../container/stdio.ts";
import { apiVersion, type Ctx, flag, param } from "./context.ts";
import { hijack, streamType } from "./hijack.ts";
import { type LogReader, replay } from "./logs.ts";
import { serveWebSocket } from "./websocket.ts";

export interface AttachApi {
  readonly containers: Containers;
  readonly logReader: LogReader;
}

/** @throws notFound, conflict */
function attachable(c: Ctx, containers: Containers): Container {
  const container = containers.get(param(c, "id"));
  const { phase } = container.state;
  if (phase === "removing" || phase === "dead") throw conflict(`container ${container.id} is ${phase}`);
  if (phase === "paused") throw phaseRefusals.paused(param(c, "id"), "attach");
  if (phase === "restarting") throw phaseRefusals.restarting(param(c, "id"));
  return container;
}

/** @param wants  whether the client wants stdin, stdout, or stderr */
function requestOf(c: Ctx, { config }: Container, wants: (stream: string) => boolean): AttachRequest {
  const { tty, openStdin } = config;
  const keys = parseDetachKeys(c.req.query("detachKeys") ?? "");
  return {
    stdin: wants("stdin") && openStdin,
    stdout: wants("stdout"),
    stderr: wants("stderr"),
    detachKeys: tty ? keys : undefined,
  };
}

const couplingOf =
  (c: Ctx, { containers, logReader }: AttachApi, container: Container, request: AttachRequest) =>
  async (client: Duplex): Promise<void> => {
    if (flag(c, "logs")) await replay(logReader, container, request, client);
    if (flag(c, "stream")) await containers.attach(container, client, request);
  };

export function attach(c: Ctx, api: AttachApi): Response {
  const container = attachable(c, api.containers);
  const request = requestOf(c, container, (stream) => flag(c, stream));
  return hijack(c, streamType(c, container.config.tty), couplingOf(c, api, container, request));
}

/** Never in frames of Docker's. Before API 1.42 all streams are meant, and before 1.28 messages are text. */
export function attachWebSocket(c: Ctx, api: AttachApi): Response {
  const container = attachable(c, api.containers);
  const request = requestOf(c, container, (stream) => c.env.version < apiVersion(1, 42) || flag(c, stream));
  const options = { isBinary: c.env.version >= apiVersion(1, 28), isFramed: !container.config.tty };
  return serveWebSocket(c, options, couplingOf(c, api, container, request));
}
