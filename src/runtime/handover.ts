/**
 * A shim that makes a process and leaves it to whoever called us: `bosun-shim inherit`. The process has our own stdio, and the shim's caller's
 * parent (a subreaper) becomes its parent. See shim/PROTOCOL.md.
 */

import { closeSync, openSync } from "node:fs";
import { builtFile } from "../base/built.ts";
import { hasCode, internal } from "../base/errors.ts";
import type { Op, Plan } from "./ops.ts";
import { encodePlan, GO, parseReport, planError, type Report } from "./protocol.ts";

export interface HandoverOptions {
  /** The run directory; absolute. A parked process waits at `start.sock` in it. */
  readonly directory: string;
  readonly plan: Plan;
  /** How many of our descriptors from 3 on the process gets as well. */
  readonly kept: number;
  /** The shim stays as the parent, and ends as the process does. */
  readonly stay: boolean;
}

type Told = Exclude<Report, { type: "fail" }>;

/** Reports as they come, over one end of a socket pair. */
class Reports {
  #text = "";
  #ended = false;
  #wake: () => void = () => {};

  hear(data: Uint8Array): void {
    this.#text += Buffer.from(data).toString();
    this.#wake();
  }

  end(): void {
    this.#ended = true;
    this.#wake();
  }

  /** A failure is the last word, and may have several lines. */
  #isWhole(): boolean {
    return this.#ended || (this.#text.includes("\n") && !this.#text.startsWith("fail "));
  }

  async next(): Promise<Report> {
    while (!this.#isWhole()) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      await promise;
    }
    const end = this.#text.startsWith("fail ") ? this.#text.length : this.#text.indexOf("\n");
    if (end <= 0) throw internal("Cannot run the plan: the shim ended without a report");
    const report = parseReport(this.#text.slice(0, end).trimEnd());
    this.#text = this.#text.slice(end + 1);
    return report;
  }
}

export class Handover {
  private constructor(
    readonly plan: Plan,
    readonly reports: Reports,
    readonly socket: Bun.Socket<undefined>,
    /** The shim's exit code: with `stay` the program's, or 128 + signal. */
    readonly exited: Promise<number>,
  ) {}

  static async start({ directory, plan, kept, stay }: HandoverOptions): Promise<Handover> {
    const bytes = encodePlan(plan);
    const program = builtFile("bosun-shim");
    const child = Bun.spawn([program, "inherit", directory, String(kept), stay ? "1" : "0"], {
      argv0: "bosun-shim",
      env: {},
      stdio: ["inherit", "inherit", "inherit", ...Array.from({ length: kept }, (_, index) => 3 + index), "pipe"],
    });
    const fd = child.stdio[3 + kept];
    if (typeof fd !== "number") throw internal("Cannot talk to the shim: there is no socket");
    const reports = new Reports();
    let rest: Uint8Array = bytes;
    const socket = await Bun.connect({
      fd,
      allowHalfOpen: true, // by which its type, that of api/activation.ts, is known
      socket: {
        data: (_, data) => reports.hear(data),
        end: () => reports.end(),
        close: () => reports.end(),
        error: () => reports.end(),
        drain: (to) => {
          rest = rest.subarray(Math.max(0, to.write(rest)));
        },
      },
    });
    rest = rest.subarray(Math.max(0, socket.write(rest)));
    return new Handover(plan, reports, socket, child.exited);
  }

  /** The next report. @throws PlanError when it is a failure, internal when the shim ended without a word */
  async report(): Promise<Told> {
    const report = await this.reports.next();
    if (report.type === "fail") throw planError(this.plan, report);
    return report;
  }

  /** @returns the host's pid of the process, which stands at `wait`. @throws PlanError */
  async ready(): Promise<number> {
    const report = await this.report();
    if (report.type !== "ready") throw internal(`Cannot make the process: the shim says ${report.type}`);
    return report.pid;
  }

  /** Lets the process pass `wait`. @returns when it is parked, or its program runs. @throws PlanError */
  async go(): Promise<void> {
    this.socket.write(GO);
    await this.report();
  }

  /** Parts from the shim, which before `go` ends the process; and waits until all is taken back. */
  async abandon(): Promise<void> {
    this.socket.end();
    await this.exited;
  }
}

/** The operations after `park`, as far as messages need them: what a later program has to know when starting fails. */
export const parkedPart = (plan: Plan): { readonly first: number; readonly ops: Plan } => {
  const first = plan.findIndex(([name]) => name === "park");
  return { first, ops: plan.slice(first).map((op): Op => (op[0] === "seccomp" || op[0] === "env" ? [op[0]] : op)) };
};

/** @returns what was said until the connection ended; empty when nobody is parked there */
async function askParked(directory: string): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  let text = "";
  const end = () => resolve(text);
  const place = openSync(directory, "r"); // an address holds 107 bytes, a directory's path may be longer
  try {
    await Bun.connect({
      unix: `/proc/self/fd/${place}/start.sock`,
      socket: {
        open: (socket) => void socket.write("g"),
        data: (_, data) => {
          text += data.toString();
        },
        end,
        close: end,
        error: end,
      },
    });
  } catch (error) {
    if (!hasCode(error, "ENOENT", "ECONNREFUSED")) throw error;
    return "";
  } finally {
    closeSync(place);
  }
  return promise;
}

/**
 * Lets a parked process run its program.
 * @param parked  its plan's `parkedPart`
 * @returns whether it was there to be started. @throws PlanError
 */
export async function startParked(directory: string, parked: ReturnType<typeof parkedPart>): Promise<boolean> {
  const text = await askParked(directory);
  const failure = /fail .*$/s.exec(text)?.[0];
  if (failure === undefined) return text.startsWith("exec\n");
  const report = parseReport(failure.trimEnd());
  if (report.type !== "fail") throw internal(`Cannot start the program: ${failure}`);
  throw planError(parked.ops, { ...report, index: report.index - parked.first });
}
