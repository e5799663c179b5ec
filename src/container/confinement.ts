/** What a container's processes may do: capabilities, system calls and profiles, as its options, the daemon's defaults and this host have it. */

import { invalid } from "../base/errors.ts";
import { UNCONFINED } from "../runtime/apparmor-policy.ts";
import type { SeccompFilter } from "../runtime/seccomp.ts";
import { type CapabilitySet, capabilityNames, capabilitySet } from "./capabilities.ts";
import type { HostConfig } from "./config.ts";
import { NAMESPACED_SYSCTLS } from "./isolation.ts";
import { isOwn } from "./namespaces.ts";
import type { Isolation } from "./plan.ts";
import { appArmorProfile, parseSecurity, type SecurityDefaults } from "./security.ts";

export interface ConfinementOptions {
  readonly defaults: SecurityDefaults;
  /** What the engine has itself. */
  readonly capabilities: CapabilitySet;
  /** @returns a compiled profile. @param profile  undefined for the daemon's default; JSON text otherwise */
  readonly seccomp: (profile: string | undefined, capabilities: readonly string[]) => SeccompFilter | undefined;
  /** Called before a program is confined by a profile of AppArmor's. @throws invalid where it is not loaded */
  readonly confinable: (profile: string) => Promise<void>;
}

export class Confinement {
  readonly #options: ConfinementOptions;

  constructor(options: ConfinementOptions) {
    this.#options = options;
  }

  /** @throws invalid for options that cannot be met */
  check(host: HostConfig): void {
    this.#isolation(host, host.privileged);
    checkSysctls(host);
  }

  /**
   * @param privileged  what `exec --privileged` asks for: all capabilities, and no profile of AppArmor's; the filter stays the container's, as Docker's
   * @throws            invalid, also where the host is not ready for it
   */
  async isolation(host: HostConfig, privileged = host.privileged): Promise<Isolation> {
    const isolation = this.#isolation(host, privileged);
    const { apparmor } = isolation;
    if (apparmor !== "" && apparmor !== UNCONFINED) await this.#options.confinable(apparmor);
    return isolation;
  }

  #isolation(host: HostConfig, privileged: boolean): Isolation {
    const { defaults, capabilities, seccomp } = this.#options;
    const security = parseSecurity(host.securityOpt, defaults);
    const setOf = (all: boolean) =>
      capabilitySet({ privileged: all, add: host.capAdd, drop: host.capDrop }, capabilities);
    const confined = !host.privileged && security.seccomp !== "unconfined";
    const profile = security.seccomp === "default" ? undefined : security.seccomp;
    return {
      capabilities: setOf(privileged),
      seccomp: confined ? seccomp(profile, capabilityNames(setOf(host.privileged))) : undefined,
      noNewPrivileges: security.noNewPrivileges,
      apparmor: appArmorProfile(host.securityOpt, privileged, defaults),
    };
  }
}

/** A sysctl that is not a namespace's would change the host. @throws invalid */
function checkSysctls({ sysctls, namespaces }: HostConfig): void {
  for (const name of Object.keys(sysctls)) {
    const allowed =
      (isOwn(namespaces.ipc) && NAMESPACED_SYSCTLS.ipc.test(name)) ||
      (namespaces.network === "own" && NAMESPACED_SYSCTLS.net.test(name)) ||
      (namespaces.uts !== "host" && name === "kernel.domainname");
    if (!allowed) throw invalid(`sysctl ${JSON.stringify(name)} is not in a separate kernel namespace`);
  }
}
