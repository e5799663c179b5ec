/** Running a health check once: an exec whose output is kept, up to a limit of size and time. */

import { Duplex } from "node:stream";
import { messageOf } from "../base/errors.ts";
import { settlesWithin } from "../base/time.ts";
import type { ContainerConfig } from "./config.ts";
import type { Execs } from "./exec.ts";
import type { Check, ProbeResult } from "./health.ts";

/** Bytes of a probe's output that are kept. */
const OUTPUT_LIMIT = 4096;
const HEADER = 8;

/** The client's side of an exec without a terminal: takes Docker's frames, keeps the beginning of what is in them. */
export class Output extends Duplex {
  #frames = Buffer.alloc(0);
  #kept = Buffer.alloc(0);
  #isCut = false;

  override _read(): void {} // nothing is ever typed

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.#frames = Buffer.concat([this.#frames, chunk]);
    while (this.#frames.length >= HEADER) {
      const end = HEADER + this.#frames.readUInt32BE(4);
      if (this.#frames.length < end) break;
      this.#keep(this.#frames.subarray(HEADER, end));
      this.#frames = this.#frames.subarray(end);
    }
    done();
  }

  #keep(payload: Buffer): void {
    const room = OUTPUT_LIMIT - this.#kept.length;
    this.#isCut ||= payload.length > room;
    this.#kept = Buffer.concat([this.#kept, payload.subarray(0, room)]);
  }

  /** As Docker cuts it. */
  get text(): string {
    return this.#kept.toString() + (this.#isCut ? "..." : "");
  }
}

/** As Go prints it: `1m30s`, `500ms`. */
function goDuration(ms: number): string {
  if (ms < 1000) return `${ms}ms`;
  const minutes = Math.floor(ms / 60_000);
  const hours = Math.floor(minutes / 60);
  const seconds = `${(ms % 60_000) / 1000}s`;
  return hours > 0 ? `${hours}h${minutes % 60}m${seconds}` : minutes > 0 ? `${minutes}m${seconds}` : seconds;
}

async function outcome(
  execs: Execs,
  id: string,
  output: Output,
  { timeoutMs }: Check,
): Promise<Pick<ProbeResult, "exitCode" | "output">> {
  const deadline = Date.now() + timeoutMs;
  const { over } = await execs.start(id, output, [0, 0]);
  if (await settlesWithin(over, deadline - Date.now()))
    return { exitCode: execs.get(id).exitCode ?? -1, output: output.text };
  await execs.kill(id);
  const said = output.text === "" ? "" : `: ${output.text}`;
  return { exitCode: -1, output: `Health check exceeded timeout (${goDuration(timeoutMs)})${said}` };
}

/** Never throws: what keeps it from running is its result. */
export async function probe(
  execs: Execs,
  containerId: string,
  config: ContainerConfig,
  check: Check,
): Promise<ProbeResult> {
  const start = new Date().toISOString();
  const result = (rest: Pick<ProbeResult, "exitCode" | "output">): ProbeResult => ({
    start,
    end: new Date().toISOString(),
    ...rest,
  });
  let id: string | undefined;
  try {
    id = execs.create(containerId, {
      ...{ user: config.user, env: config.env, workingDir: config.workingDir, entrypoint: [], cmd: check.command },
      ...{ tty: false, openStdin: false, stdinOnce: false, attachStdin: false, attachStdout: true, attachStderr: true },
      ...{ privileged: false, detachKeys: "" },
    });
    return result(await outcome(execs, id, new Output(), check));
  } catch (error) {
    return result({ exitCode: -1, output: messageOf(error) });
  } finally {
    if (id !== undefined) execs.forget(id);
  }
}
