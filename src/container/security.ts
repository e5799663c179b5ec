/** `--security-opt`: `no-new-privileges`, `seccomp=…`, `apparmor=…`, and labels that this engine has no use for. Source: docker run reference. */

import { invalid } from "../base/errors.ts";
import { DEFAULT_PROFILE, UNCONFINED } from "../runtime/apparmor-policy.ts";

export interface Security {
  readonly noNewPrivileges: boolean;
  /** `default`, `unconfined`, or a profile as JSON text. */
  readonly seccomp: string;
}

/** What a container gets that does not ask. */
export interface SecurityDefaults {
  /** The daemon's `--no-new-privileges`. */
  readonly noNewPrivileges: boolean;
  /** Whether the host has AppArmor. */
  readonly hasAppArmor: boolean;
}

/** @throws invalid for what this host cannot do */
export function parseSecurity(options: readonly string[], defaults: SecurityDefaults): Security {
  const { noNewPrivileges, hasAppArmor } = defaults;
  let security: Security = { noNewPrivileges, seccomp: "default" };
  for (const option of options) {
    const [, name = "", value] = /^([a-z-]+)(?:[=:](.*))?$/s.exec(option) ?? [];
    if (name === "no-new-privileges") security = { ...security, noNewPrivileges: isTrue(option, value) };
    else if (name === "seccomp" && value) security = { ...security, seccomp: value === "builtin" ? "default" : value };
    else if (name === "label" && value === "disable") continue;
    else if (name === "apparmor" && value && (hasAppArmor || value === UNCONFINED)) continue;
    else if (name === "label") throw invalid(`invalid --security-opt ${option}: SELinux is not supported on this host`);
    else if (name === "apparmor")
      throw invalid(`invalid --security-opt ${option}: AppArmor is not supported on this host`);
    else throw invalid(`invalid --security-opt 2: ${JSON.stringify(option)}`);
  }
  return security;
}

/** @param options  that were parsed before. @returns the AppArmor profile that confines a process: empty where the host has no AppArmor */
export function appArmorProfile(
  options: readonly string[],
  privileged: boolean,
  { hasAppArmor }: SecurityDefaults,
): string {
  if (!hasAppArmor) return "";
  const asked = options.flatMap((option) => /^apparmor[=:](.+)$/.exec(option)?.[1] ?? []).at(-1);
  return asked ?? (privileged ? UNCONFINED : DEFAULT_PROFILE);
}

function isTrue(option: string, value: string | undefined): boolean {
  if (value === undefined || value === "true") return true;
  if (value === "false") return false;
  throw invalid(`invalid --security-opt: ${JSON.stringify(option)}`);
}
