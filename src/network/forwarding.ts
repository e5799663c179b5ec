/**
 * The kernel's switches that make this host a router. Containers need them on; but then the host forwards between its other interfaces, too, which
 * nobody has asked for. So where it was this engine that switched them on, the firewall drops what crosses none of its bridges, as dockerd's does.
 */

import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { bootId } from "../base/boot.ts";
import { hasCode } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";

export type Family = 4 | 6;

const FAMILIES = [4, 6] as const;
/** Source: Linux, Documentation/networking/ip-sysctl.rst. */
const SWITCHES = { 4: "/proc/sys/net/ipv4/ip_forward", 6: "/proc/sys/net/ipv6/conf/all/forwarding" } as const;

export interface ForwardingOptions {
  /** Where it is kept which of the switches we have turned, for as long as the host is up: a daemon may end, and its switches stay. */
  readonly file: string;
  /** Whether what crosses none of our bridges is let pass all the same. */
  readonly keepsOpen: boolean;
  readonly log: Logger;
  /** By family. */
  readonly switches?: Readonly<Record<Family, string>>;
}

export class Forwarding {
  readonly #options: ForwardingOptions;
  readonly #switches: Readonly<Record<Family, string>>;
  /** Families of which the host forwards because of us. */
  readonly #ours: Set<Family>;

  constructor(options: ForwardingOptions) {
    this.#options = options;
    this.#switches = options.switches ?? SWITCHES;
    this.#ours = new Set(recorded(options.file));
  }

  /** Families of which the firewall is to drop what crosses none of our bridges. */
  get closed(): readonly Family[] {
    return this.#options.keepsOpen ? [] : FAMILIES.filter((family) => this.#ours.has(family));
  }

  /** Notes that `switchOn` will have turned a switch, so that the firewall is closed before. @throws when it cannot be noted */
  claim(family: Family): void {
    if (this.#ours.has(family) || !this.#isOff(family)) return;
    const { file, keepsOpen, log } = this.#options;
    const wanted = FAMILIES.filter((one) => one === family || this.#ours.has(one));
    const unfinished = join(dirname(file), `new-${basename(file)}`);
    writeFileSync(unfinished, `${[bootId(), ...wanted].join(" ")}\n`);
    renameSync(unfinished, file);
    this.#ours.add(family);
    const others = keepsOpen ? "also between its other interfaces" : "but not between its other interfaces";
    log.info(`the host forwards IPv${family} from now on, ${others}`);
  }

  /** Idempotent. */
  switchOn(family: Family): void {
    if (this.#isOff(family)) writeFileSync(this.#switches[family], "1");
  }

  /** A kernel without IPv6 has no switch of it. */
  #isOff(family: Family): boolean {
    const path = this.#switches[family];
    return existsSync(path) && readFileSync(path, "utf8").trim() === "0";
  }
}

/** What a daemon before this one has noted since the host was booted. */
function recorded(file: string): readonly Family[] {
  try {
    const [boot, ...families] = readFileSync(file, "utf8").trim().split(" ");
    return boot === bootId() ? FAMILIES.filter((family) => families.includes(String(family))) : [];
  } catch (error) {
    if (hasCode(error, "ENOENT")) return [];
    throw error;
  }
}
