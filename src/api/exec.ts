/** /exec and /containers/{id}/exec. Source: Docker Engine API, tag Exec. */

import type { Duplex } from "node:stream";
import { Hono } from "hono";
import { invalid, messageOf } from "../base/errors.ts";
import { mergeEnv } from "../container/config.ts";
import type { Containers } from "../container/containers.ts";
import type { ExecConfig, Execs } from "../container/exec.ts";
import { parseDetachKeys } from "../container/stdio.ts";
import { dimensions } from "./containers.ts";
import { type Ctx, type Env, empty, json, jsonBody, param } from "./context.ts";
import { checkEnv } from "./create-request.ts";
import { Deframer } from "./deframed.ts";
import { Document } from "./document.ts";
import { frame, STDERR, STDOUT, SYSTEM_ERROR } from "./frames.ts";
import { hijack, streamType } from "./hijack.ts";
import { Recoded } from "./recoded.ts";

async function create(c: Ctx, containers: Containers, execs: Execs): Promise<Response> {
  const body = new Document(await jsonBody(c));
  const container = containers.get(param(c, "id"));
  const cmd = body.words("Cmd") ?? [];
  if (cmd.length === 0 || cmd[0] === "") throw invalid("No exec command specified");
  const detachKeys = body.text("DetachKeys");
  parseDetachKeys(detachKeys);
  const id = execs.create(param(c, "id"), {
    user: body.text("User") || container.config.user,
    env: mergeEnv(container.config.env, checkEnv(body.words("Env") ?? [])),
    workingDir: body.text("WorkingDir") || container.config.workingDir,
    entrypoint: [],
    cmd,
    tty: body.flag("Tty"),
    openStdin: body.flag("AttachStdin"),
    stdinOnce: true,
    attachStdin: body.flag("AttachStdin"),
    attachStdout: body.flag("AttachStdout"),
    attachStderr: body.flag("AttachStderr"),
    privileged: body.flag("Privileged"),
    detachKeys,
  });
  return json({ Id: id }, 201);
}

async function start(c: Ctx, execs: Execs): Promise<Response> {
  const body = new Document(await jsonBody(c));
  const id = param(c, "id");
  const { config } = execs.check(id);
  const [rows, columns] = consoleSize(body.get("ConsoleSize"));
  if (body.flag("Detach")) {
    await execs.start(id, undefined, [rows, columns]);
    return empty(200);
  }
  const wantsRaw = body.flag("Tty");
  return hijack(c, streamType(c, wantsRaw), async (connection) => {
    const client = asWanted(connection, wantsRaw, config);
    try {
      await (await execs.start(id, client, [rows, columns])).over;
    } catch (error) {
      // the status line is out: the failure goes into the stream, as Docker's does
      const text = Buffer.from(`${messageOf(error)}\r\n`);
      connection.write(wantsRaw ? text : frame(config.attachStderr ? STDERR : SYSTEM_ERROR, text));
    }
  });
}

/** Whether output comes in frames is what the start asks for, whatever the exec was made with: docker-py asks for frames of terminals, too. */
function asWanted(connection: Duplex, wantsRaw: boolean, { tty }: ExecConfig): Duplex {
  if (tty === wantsRaw) return connection;
  if (tty) return new Recoded(connection, (bytes) => [frame(STDOUT, bytes)]);
  const deframer = new Deframer();
  return new Recoded(connection, (bytes) => deframer.push(bytes));
}

function consoleSize(value: unknown): readonly [number, number] {
  const [rows, columns]: unknown[] = Array.isArray(value) ? value : [];
  return typeof rows === "number" && typeof columns === "number" ? [rows, columns] : [0, 0];
}

function inspect(c: Ctx, execs: Execs) {
  const { id, containerId, config, pid, running, exitCode } = execs.get(param(c, "id"));
  const [entrypoint = "", ...args] = config.cmd;
  return json({
    ID: id,
    Running: running,
    ExitCode: exitCode ?? null,
    ProcessConfig: {
      tty: config.tty,
      entrypoint,
      arguments: args,
      privileged: config.privileged,
      ...(config.user !== "" && { user: config.user }),
    },
    OpenStdin: config.attachStdin,
    OpenStderr: config.attachStderr,
    OpenStdout: config.attachStdout,
    CanRemove: exitCode !== undefined,
    ContainerID: containerId,
    DetachKeys: Buffer.from(parseDetachKeys(config.detachKeys)).toString("base64"),
    Pid: pid,
  });
}

export function execRouter(containers: Containers, execs: Execs): Hono<Env> {
  return new Hono<Env>()
    .post("/containers/:id/exec", (c) => create(c, containers, execs))
    .post("/exec/:id/start", (c) => start(c, execs))
    .post("/exec/:id/resize", async (c) => {
      await execs.resize(param(c, "id"), ...dimensions(c));
      return empty(200);
    })
    .get("/exec/:id/json", (c) => inspect(c, execs));
}
