/** Options of a container's place in a network. Source: Docker's documentation, `docker network connect --driver-opt`. Pure. */

import { invalid } from "../base/errors.ts";
import { isInterfaceName } from "./interface-names.ts";

const NAMES = {
  interface: "com.docker.network.endpoint.ifname",
  sysctls: "com.docker.network.endpoint.sysctls",
} as const;

/** A switch of the kernel's for one interface. */
export interface InterfaceSysctl {
  /** As below /proc/sys, with the interface's name in it. */
  readonly path: string;
  readonly value: string;
}

/** @returns the name that is asked for; undefined for the next that is free. @throws invalid */
export function askedInterface(options: Readonly<Record<string, string>>): string | undefined {
  const asked = options[NAMES.interface];
  if (!asked) return undefined;
  if (asked === "lo" || !isInterfaceName(asked)) throw invalid(`invalid interface name ${JSON.stringify(asked)}`);
  return asked;
}

/** `net.ipv4.conf.IFNAME.log_martians=1,…`; the docker command sends it in lower case. @throws invalid */
export function interfaceSysctls(
  options: Readonly<Record<string, string>>,
  interfaceName: string,
): readonly InterfaceSysctl[] {
  const text = options[NAMES.sysctls] ?? "";
  return text === "" ? [] : text.split(",").map((item) => parseSysctl(item, interfaceName));
}

function parseSysctl(item: string, interfaceName: string): InterfaceSysctl {
  const [, family = "", group = "", name = "", value = ""] =
    /^net\.(ipv4|ipv6|mpls)\.(conf|neigh)\.(?:IFNAME|ifname)\.([a-z0-9_]+)=(.*)$/.exec(item) ?? [];
  if (name === "")
    throw invalid(
      `invalid endpoint sysctl ${JSON.stringify(item)}: want net.ipv4.conf.IFNAME.name=value, or of ipv6, mpls, neigh`,
    );
  return { path: `net/${family}/${group}/${interfaceName}/${name}`, value };
}

/** @throws invalid for what is unknown or malformed */
export function checkEndpointOptions(options: Readonly<Record<string, string>>): void {
  const known: readonly string[] = Object.values(NAMES);
  const unknown = Object.keys(options).find((name) => !known.includes(name));
  if (unknown !== undefined) throw invalid(`unknown option of an endpoint: ${unknown}`);
  askedInterface(options);
  interfaceSysctls(options, "eth0");
}
