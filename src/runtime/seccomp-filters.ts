/** The filters that containers get: the daemon's profile or their own, compiled for this host. */

import { readFileSync } from "node:fs";
import { compileSeccomp, type SeccompFilter } from "./seccomp.ts";
import seccompDefault from "./seccomp-default.json" with { type: "json" };
import { parseSeccompProfile, type SeccompHost, type SeccompProfile } from "./seccomp-profile.ts";

export class SeccompFilters {
  readonly #profile: SeccompProfile | undefined;
  /** Compiling takes milliseconds and most containers ask for the same: those of the daemon's profile are kept, by capabilities. */
  readonly #compiled = new Map<string, SeccompFilter>();

  /** @param profile  the daemon's: `builtin`, `unconfined`, or the path of a file. @throws invalid */
  constructor(
    profile: string,
    readonly host: Omit<SeccompHost, "capabilities">,
  ) {
    if (profile === "unconfined") return;
    const text = profile === "builtin" ? JSON.stringify(seccompDefault) : readFileSync(profile, "utf8");
    this.#profile = parseSeccompProfile(text);
  }

  /**
   * @param profile       a container's own, JSON; the daemon's unless given
   * @param capabilities  by name, which decide what a profile allows
   * @returns             undefined for none. @throws invalid
   */
  filter(profile: string | undefined, capabilities: readonly string[]): SeccompFilter | undefined {
    if (profile !== undefined) return this.#compile(parseSeccompProfile(profile), capabilities);
    if (this.#profile === undefined) return undefined;
    const key = capabilities.join();
    const filter = this.#compiled.get(key) ?? this.#compile(this.#profile, capabilities);
    this.#compiled.set(key, filter);
    return filter;
  }

  #compile(profile: SeccompProfile, capabilities: readonly string[]): SeccompFilter {
    return compileSeccomp(profile, { ...this.host, capabilities });
  }
}
