/**
 * A host with names, addresses and an /etc of its own: a network namespace that leads nowhere else, and a mount namespace for the daemon. Addresses
 * are none of 127.0.0.0/8, so that nobody is trusted for being on this machine.
 */

import { randomBytes } from "node:crypto";
import { copyFile, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { onAbort } from "./abort.ts";
import type { Ground } from "./e2e.ts";
import { type Folder, makeFolder } from "./folder.ts";

/** Of the machine's, what programs cannot do without. */
const COPIED = ["passwd", "group", "nsswitch.conf"];

export class Estate implements Ground {
  readonly #namespace = `bosun-estate-${randomBytes(3).toString("hex")}`;
  #folder: Folder | undefined;

  /** @param names  name → address, as `192.0.2.1` */
  constructor(readonly names: Readonly<Record<string, string>>) {}

  /** @throws Error before `open` */
  path = (name: string): string => {
    if (!this.#folder) throw new Error("the estate is not open");
    return join(this.#folder.path, name);
  };

  /** A command that runs what follows among these names, in a mount namespace of its own. */
  get prefix(): readonly string[] {
    const script = `mount --bind ${this.path("etc")} /etc && exec "$@"`;
    return ["nsenter", `--net=/run/netns/${this.#namespace}`, "unshare", "--mount", "sh", "-c", script, "sh"];
  }

  #settled = () => {};

  async open(): Promise<void> {
    this.#settled = onAbort(() => this.close());
    this.#folder = await makeFolder();
    await mkdir(this.path("etc"));
    for (const name of COPIED) await copyFile(join("/etc", name), this.path(`etc/${name}`));
    const hosts = Object.entries({ localhost: "127.0.0.1", ...this.names });
    await writeFile(this.path("etc/hosts"), hosts.map(([name, address]) => `${address} ${name}\n`).join(""));
    await writeFile(this.path("etc/resolv.conf"), "");
    await Bun.$`ip netns add ${this.#namespace} && ip -n ${this.#namespace} link set lo up`.quiet();
    for (const address of Object.values(this.names))
      await Bun.$`ip -n ${this.#namespace} addr add ${address} dev lo`.quiet();
  }

  async close(): Promise<void> {
    await Bun.$`ip netns del ${this.#namespace}`.quiet().nothrow();
    await this.#folder?.[Symbol.asyncDispose]();
    this.#settled();
  }

  /** Trusts an authority for a registry, and may show it a certificate, from now on. */
  async trust(host: string, files: Readonly<Record<string, string>>): Promise<void> {
    const folder = this.path(`etc/docker/certs.d/${host}`);
    await mkdir(folder, { recursive: true });
    for (const [name, source] of Object.entries(files)) await copyFile(source, join(folder, name));
  }
}
