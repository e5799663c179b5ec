/**
 * AppArmor, where the host has it: the profile that containers are confined by, and those that they ask for. The kernel's policy changes by
 * `apparmor_parser`, as for all others. Source: apparmor(7), apparmor.d(5), apparmor_parser(8); Docker documentation, "AppArmor security profiles".
 */

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ifMissing, internal, invalid } from "../base/errors.ts";
import { DEFAULT_POLICY, DEFAULT_PROFILE } from "./apparmor-policy.ts";

export interface AppArmorPaths {
  /** Of the module's parameters. */
  readonly module: string;
  /** Where securityfs is mounted. */
  readonly security: string;
}

const HOST: AppArmorPaths = { module: "/sys/module/apparmor/parameters", security: "/sys/kernel/security" };

const PATH = `${process.env.PATH ?? ""}:/usr/sbin:/sbin`;

const textOf = (path: string): string => {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    return ifMissing("")(error);
  }
};

export class AppArmor {
  /** Whether containers can be confined: the kernel does it, and there is a parser. */
  readonly isEnabled: boolean;
  readonly #profiles: string;
  #loading: Promise<void> | undefined;

  /** @param parser  path of apparmor_parser; undefined where there is none */
  constructor(
    { module, security }: AppArmorPaths = HOST,
    readonly parser: string | undefined = Bun.which("apparmor_parser", { PATH }) ?? undefined,
  ) {
    this.#profiles = join(security, "apparmor/profiles");
    this.isEnabled =
      textOf(join(module, "enabled")).startsWith("Y") && existsSync(this.#profiles) && parser !== undefined;
  }

  /** Whether the kernel knows a profile. */
  isLoaded(name: string): boolean {
    return textOf(this.#profiles)
      .split("\n")
      .some((line) => line.startsWith(`${name} (`));
  }

  /** Before a program is confined by a profile: the default one is loaded, should it be missing. @throws invalid for another that is not loaded */
  async ready(profile: string): Promise<void> {
    if (this.isLoaded(profile)) return;
    if (profile !== DEFAULT_PROFILE)
      throw invalid(`AppArmor profile ${JSON.stringify(profile)} is not loaded: load it with apparmor_parser`);
    this.#loading ??= this.#load().finally(() => {
      this.#loading = undefined;
    });
    await this.#loading;
  }

  async #load(): Promise<void> {
    const child = Bun.spawn([this.parser ?? "", "--add", "--skip-cache"], {
      stdin: Buffer.from(DEFAULT_POLICY),
      stdout: "ignore",
      stderr: "pipe",
    });
    const [text, code] = await Promise.all([child.stderr.text(), child.exited]);
    if (code !== 0 && !this.isLoaded(DEFAULT_PROFILE))
      // another engine may have been faster
      throw internal(`Cannot load the AppArmor profile ${DEFAULT_PROFILE}: ${text.trim()}`);
  }
}
