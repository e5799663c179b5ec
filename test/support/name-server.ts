/** The program `bosun-net names` for a network namespace of a test's own, and its files. */

import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { builtFile } from "../../src/base/built.ts";
import { type NetProgram, startNetProgram } from "../../src/network/net-program.ts";
import { type Folder, makeFolder } from "./folder.ts";
import { NetNamespace } from "./netns.ts";

export class NameServer implements AsyncDisposable {
  private constructor(
    readonly folder: Folder,
    readonly netns: NetNamespace,
  ) {}

  #program: NetProgram | undefined;

  /** Read by a process without privileges. */
  get #root(): string {
    return join(this.folder.path, "names");
  }

  get agent(): NetNamespace["agent"] {
    return this.netns.agent;
  }

  get program(): NetProgram {
    if (!this.#program) throw new Error("the name server has not been started");
    return this.#program;
  }

  /** @param files  as `networks/n1` → text. The container's is `containers/c1` */
  static async start(files: Readonly<Record<string, string>>): Promise<NameServer> {
    const server = new NameServer(await makeFolder(), await NetNamespace.open());
    for (const kind of ["networks", "containers"])
      mkdirSync(join(server.#root, kind), { recursive: true, mode: 0o755 });
    for (const [path, text] of Object.entries(files)) server.write(path, text);
    server.#program = await startNetProgram(builtFile("bosun-net"), [
      ...["names", String(server.netns.pid), server.#root, "c1"],
    ]);
    server.#program.tell("serve");
    return server;
  }

  /** As the daemon does it: whole, and in its place at once. */
  write(path: string, text: string): void {
    writeFileSync(join(this.#root, "new"), text);
    renameSync(join(this.#root, "new"), join(this.#root, path));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#program?.end(9);
    await this.netns[Symbol.asyncDispose]();
    await this.folder[Symbol.asyncDispose]();
  }
}
