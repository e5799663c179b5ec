/** `--security-opt`: `no-new-privileges`, `seccomp=…`, and labels that this engine has no use for. Source: docker run reference. */

import { invalid } from "../base/errors.ts";

export interface Security {
  readonly noNewPrivileges: boolean;
  /** `default`, `unconfined`, or a profile as JSON text. */
  readonly seccomp: string;
}

/** @param fallback  the daemon's `--no-new-privileges`. @throws invalid for what this host cannot do */
export function parseSecurity(options: readonly string[], fallback: boolean): Security {
  let security: Security = { noNewPrivileges: fallback, seccomp: "default" };
  for (const option of options) {
    const [, name = "", value] = /^([a-z-]+)(?:[=:](.*))?$/s.exec(option) ?? [];
    if (name === "no-new-privileges") security = { ...security, noNewPrivileges: isTrue(option, value) };
    else if (name === "seccomp" && value) security = { ...security, seccomp: value === "builtin" ? "default" : value };
    else if (name === "label" && value === "disable") continue;
    else if (name === "apparmor" && value === "unconfined") continue;
    else if (name === "label") throw invalid(`invalid --security-opt ${option}: SELinux is not supported on this host`);
    else if (name === "apparmor")
      throw invalid(`invalid --security-opt ${option}: AppArmor is not supported on this host`);
    else throw invalid(`invalid --security-opt 2: ${JSON.stringify(option)}`);
  }
  return security;
}

function isTrue(option: string, value: string | undefined): boolean {
  if (value === undefined || value === "true") return true;
  if (value === "false") return false;
  throw invalid(`invalid --security-opt: ${JSON.stringify(option)}`);
}
