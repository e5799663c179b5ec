/** What of the host may keep networks from working: each finding with what to do about it. */

import { existsSync, readFileSync } from "node:fs";
import type { Endpoints } from "./endpoints.ts";
import type { Firewall } from "./firewall.ts";

export interface Finding {
  readonly level: "ok" | "warning" | "problem";
  /** What is, in a sentence. */
  readonly text: string;
  /** What to do about it. */
  readonly advice?: string;
}

export const ok = (text: string): Finding => ({ level: "ok", text });
export const warning = (text: string, advice: string): Finding => ({ level: "warning", text, advice });
export const problem = (text: string, advice: string): Finding => ({ level: "problem", text, advice });

/** Empty for a file that is not there. */
export function textOf(path: string): string {
  try {
    return existsSync(path) ? readFileSync(path, "utf8") : "";
  } catch {
    return ""; // its process has just ended
  }
}

export function checkHost(firewall: Firewall, endpoints: Endpoints): readonly Finding[] {
  return [
    ...checkForwarding(endpoints),
    ...checkStopped(firewall),
    ...checkRules(firewall),
    ...checkStrangers(firewall),
    ...checkInterfaces(endpoints),
  ];
}

function checkForwarding({ networks }: Endpoints): readonly Finding[] {
  const switches = [
    ["IPv4", "net.ipv4.ip_forward", "/proc/sys/net/ipv4/ip_forward", true],
    [
      "IPv6",
      "net.ipv6.conf.all.forwarding",
      "/proc/sys/net/ipv6/conf/all/forwarding",
      networks.list().some((one) => one.enableIPv6),
    ],
  ] as const;
  return switches
    .filter(([, , , isNeeded]) => isNeeded)
    .map(([family, name, path]) =>
      textOf(path).trim() === "0"
        ? problem(
            `the host does not forward ${family}: containers reach nobody outside, and are not reached`,
            `sysctl -w ${name}=1`,
          )
        : ok(`the host forwards ${family}`),
    );
}

const checkStopped = ({ stopped }: Firewall): readonly Finding[] =>
  stopped.map((family) =>
    ok(
      `between its other interfaces the host forwards no IPv${family}, as before this engine (--ip-forward-no-drop has it do so)`,
    ),
  );

function checkRules(firewall: Firewall): readonly Finding[] {
  if (!firewall.enabled)
    return [
      warning(
        "no firewall rules are set (--iptables=false): nothing is masqueraded, ports are relayed",
        "start the daemon without that flag, or set rules by hand",
      ),
    ];
  const missing = firewall.missing();
  return missing.length === 0
    ? [ok(`the rules of the nftables table ${firewall.table} are all there`)]
    : [
        problem(
          `firewall rules are missing: ${missing.join(", ")}`,
          "restart the daemon; find out who removes them (`nft monitor`)",
        ),
      ];
}

function checkStrangers(firewall: Firewall): readonly Finding[] {
  const others = firewall
    .warnings()
    .map((text) =>
      problem(
        text,
        "have that chain accept what crosses our bridges, or give firewalld's zone of them the target ACCEPT",
      ),
    );
  const isUfw = /^ENABLED=yes/m.test(textOf("/etc/ufw/ufw.conf"));
  const ufw = warning(
    "ufw is on: its rules for the host's own ports do not hold for published ones",
    "publish on 127.0.0.1, or start the daemon with --respect-host-firewall",
  );
  return [
    ...others,
    ...(isUfw ? [ufw] : []),
    ...(others.length === 0 ? [ok("no other firewall drops what the host forwards")] : []),
  ];
}

function checkInterfaces(endpoints: Endpoints): readonly Finding[] {
  return endpoints.networks
    .list()
    .filter(({ id }) => endpoints.members(id).size > 0)
    .flatMap((network) =>
      endpoints
        .interfaces(network)
        .map((name) =>
          endpoints.netlink.isUp(name)
            ? ok(`${name} of network ${network.name} is up`)
            : problem(
                `${name} of network ${network.name} is down or gone`,
                `restart the containers in ${network.name}`,
              ),
        ),
    );
}
