/**
 * End-to-end suites: the real docker CLI against a daemon of the suite's own, with an image of the host's busybox in it. When the tests are over
 * every container is removed and nothing may be left of them.
 */

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import { hasBusybox, testArchive } from "./busybox.ts";
import { TestDaemon } from "./daemon.ts";
import { lastingLeftovers } from "./leftovers.ts";
import { TEST_MS } from "./patience.ts";
import { Session, type SessionOptions } from "./session.ts";

const docker = Bun.which("docker", { PATH: `/usr/local/bin:${process.env.PATH ?? ""}` });
const missing = [
  ...(process.getuid?.() === 0 ? [] : ["root's privileges"]),
  ...(docker ? [] : ["the docker command (Debian: docker.io or docker-cli)"]),
  ...(hasBusybox ? [] : ["a static busybox (Debian: busybox-static)"]),
];
if (missing.length > 0) console.log(`End-to-end tests are skipped: they need ${missing.join(" and ")}`);

export interface Result {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly stdin?: string | Uint8Array;
  readonly env?: Readonly<Record<string, string>>;
}

export class Engine {
  #daemon: TestDaemon | undefined;

  /** @throws Error outside of tests */
  get daemon(): TestDaemon {
    if (!this.#daemon) throw new Error("the daemon has not been started");
    return this.#daemon;
  }

  async open(flags: readonly string[], prefix: readonly string[] = []): Promise<void> {
    this.#daemon = await TestDaemon.startUnder(prefix, ...flags);
    await this.load(testArchive());
  }

  async close(): Promise<void> {
    await this.#daemon?.[Symbol.asyncDispose]();
  }

  /** Every container and then what is left of it. */
  async clear(): Promise<string[]> {
    for (const { Id } of await this.daemon.json<{ Id: string }[]>("/containers/json?all=1"))
      await this.daemon.api(`/containers/${Id}?force=1`, { method: "DELETE" });
    return lastingLeftovers(this.daemon);
  }

  /** @param archive  as of `docker save` */
  async load(archive: Uint8Array): Promise<string> {
    const headers = { "Content-Type": "application/x-tar" };
    const response = await this.daemon.api("/images/load", { method: "POST", body: archive, headers });
    return response.text();
  }

  /** Runs `docker …` to its end, with nothing on its standard input. */
  docker = (...args: readonly string[]): Promise<Result> => this.dockerWith({}, ...args);

  dockerWith = async ({ stdin = "", env = {} }: RunOptions, ...args: readonly string[]): Promise<Result> => {
    const child = Bun.spawn([docker ?? "docker", ...args], {
      env: { ...this.daemon.env, ...env },
      stdin: Buffer.from(stdin),
      stdout: "pipe",
      stderr: "pipe",
    });
    const [stdout, stderr, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
    return { code, stdout, stderr };
  };

  /** @returns what it prints, without the newline at the end. @throws Error unless it exits with 0 */
  ok = async (...args: readonly string[]): Promise<string> => {
    const { code, stdout, stderr } = await this.docker(...args);
    if (code !== 0) throw new Error(`docker ${args.join(" ")}: exit code ${code}: ${stderr || stdout}`);
    return stdout.replace(/\n$/, "");
  };

  /** Runs a shell script in a new container that is removed afterwards. @param flags  of `docker run` */
  sh = (script: string, ...flags: readonly string[]): Promise<string> =>
    this.ok("run", "--rm", "--network", "none", ...flags, "busybox", "sh", "-c", script);

  /** A container that lasts until it is removed. @returns its id */
  sleeper = (...flags: readonly string[]): Promise<string> =>
    this.ok("run", "-d", "--network", "none", "--stop-timeout", "0", ...flags, "busybox", "sleep", "1000");

  /** `docker …` beside the test. */
  session = (options: Omit<SessionOptions, "env">, ...args: readonly string[]): Session =>
    new Session([docker ?? "docker", ...args], { ...options, env: this.daemon.env });

  /** @param format  a Go template, as `{{.State.Status}}` */
  inspect = (container: string, format: string): Promise<string> =>
    this.ok("container", "inspect", "--format", format, container);
}

/** Where a daemon runs. */
export interface Ground {
  /** A command that becomes the daemon. */
  readonly prefix: readonly string[];
  open(): Promise<void>;
  close(): Promise<void>;
}

/** @param flags  of the daemon. @param ground  undefined for the host itself */
export function e2e(
  subject: string,
  tests: (engine: Engine) => void,
  flags: readonly string[] = [],
  ground?: Ground,
): void {
  setDefaultTimeout(TEST_MS); // for the file that calls this
  describe.skipIf(missing.length > 0)(subject, () => {
    const engine = new Engine();
    beforeAll(async () => {
      await ground?.open();
      await engine.open(flags, ground?.prefix);
    });
    afterAll(async () => {
      await engine.close();
      await ground?.close();
    });
    tests(engine);
    test("containers leave nothing behind when they are removed", async () => {
      expect(await engine.clear()).toEqual([]);
    });
  });
}

/** What /proc/<pid>/status or stat says of a process of the host. @throws Error when it is gone */
export const procStatus = (pid: number | string, field: string): string =>
  new RegExp(`^${field}:\\s*(.*)$`, "m").exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? "";
