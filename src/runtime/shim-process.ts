/** A shim as a child process: the plan goes in, reports come out. From `started` on it is on its own. */

import { internal } from "../base/errors.ts";
import type { Plan } from "./ops.ts";
import { encodePlan, GO, parseReport, planError, type Report } from "./protocol.ts";

type Child = Bun.Subprocess<"pipe", "pipe", "ignore">;
const readerOf = (child: Child) => child.stdout.getReader();

export class ShimProcess {
  readonly #plan: Plan;
  readonly #child: Child;
  readonly #output: ReturnType<typeof readerOf>;
  #text = "";

  private constructor(plan: Plan, child: Child) {
    this.#plan = plan;
    this.#child = child;
    this.#output = readerOf(child);
  }

  /**
   * @param program  path of the shim
   * @param args     `run <rundir>` or `plan`
   */
  static async start(program: string, args: readonly string[], plan: Plan): Promise<ShimProcess> {
    const bytes = encodePlan(plan);
    const child = Bun.spawn([program, ...args], {
      argv0: "bosun-shim",
      env: {},
      stdin: "pipe",
      stdout: "pipe",
      stderr: "ignore",
      detached: true,
    });
    child.unref(); // it outlives us; until then Bun reaps it
    const shim = new ShimProcess(plan, child);
    await shim.#write(bytes);
    return shim;
  }

  get pid(): number {
    return this.#child.pid;
  }

  async #write(bytes: Uint8Array): Promise<void> {
    try {
      this.#child.stdin.write(bytes);
      await this.#child.stdin.flush();
    } catch {
      // It ended before it had read all; the report says why.
    }
  }

  async #more(): Promise<boolean> {
    const { done, value } = await this.#output.read();
    if (!done) this.#text += Buffer.from(value).toString();
    return !done;
  }

  /** The next report. @throws PlanError when it is a failure, internal when the shim ended without a word */
  async report(): Promise<Exclude<Report, { type: "fail" }>> {
    let more = true;
    // A failure is the last word, and may have several lines.
    while (more && (!this.#text.includes("\n") || this.#text.startsWith("fail "))) more = await this.#more();
    const end = this.#text.startsWith("fail ") ? this.#text.length : this.#text.indexOf("\n");
    if (end <= 0) throw internal(`Cannot run the plan: the shim ended without a report`);
    const report = parseReport(this.#text.slice(0, end).trimEnd());
    this.#text = this.#text.slice(end + 1);
    if (report.type === "fail") throw planError(this.#plan, report);
    return report;
  }

  /** Lets the process pass `wait`. @returns when the program runs. @throws PlanError */
  async go(): Promise<void> {
    await this.#write(GO);
    const { type } = await this.report();
    if (type !== "started") throw internal(`Cannot start the program: the shim says ${type}`);
    this.release();
  }

  /** Parts from it; before `go` that ends the process, and takes back what it made. */
  release(): void {
    void Promise.resolve(this.#child.stdin.end()).catch(() => {});
    void this.#output.cancel().catch(() => {});
  }

  /** Parts from it before `go`, and waits until all is taken back. */
  async abandon(): Promise<void> {
    this.release();
    await this.#child.exited;
  }
}
