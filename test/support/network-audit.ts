/** Whether what a daemon remembers of its containers' networks is what the kernel, its rules and its processes have. */

import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Container } from "../../src/container/records.ts";
import { compare, namesIn, rowsOf } from "./audit.ts";
import type { TestDaemon } from "./daemon.ts";
import { PATIENCE_MS } from "./patience.ts";

const output = async (...words: readonly string[]): Promise<string> => {
  const child = Bun.spawn([...words], { stdout: "pipe", stderr: "ignore" });
  const [text] = await Promise.all([child.stdout.text(), child.exited]);
  return text;
};

/** Ports of the host that rules lead, as `tcp 8080 > 172.18.0.2`: IPv4's. */
async function ledPorts({ bridge }: TestDaemon): Promise<string[]> {
  const text = await output("nft", "list", "map", "inet", `bosun-${bridge}`, "published_anywhere4");
  return [...text.matchAll(/(tcp|udp) \. (\S+) : (\S+) \. \S+?[, ]/g)].map((found) => found.slice(1, 4).join(" "));
}

/** Words of every process of bosun-net that has to do with this daemon: by its folder of names, or by ports that only the test has. */
async function helpers({ execRoot }: TestDaemon, ports: readonly number[]): Promise<readonly (readonly string[])[]> {
  const all = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const lines = await Promise.all(all.map((pid) => readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")));
  const ours = [join(execRoot, "names"), ...ports.map(String)];
  return lines
    .map((line) => line.split("\0"))
    .filter(([name = "", ...words]) => name.endsWith("/bosun-net") && ours.some((word) => words.includes(word)));
}

/** What a keeper is told of each port: protocol, addresses, lowest and highest number, target, its port. */
const GROUP = 6;

const keptBy = (words: readonly string[]): string[] =>
  words.filter((_, at) => at % GROUP === 2 && words.length > at + 3);

/** Names of the interfaces of a running container, and whether it has a way out. */
async function inside(pid: number): Promise<{ readonly interfaces: readonly string[]; readonly routes: string }> {
  const enter = ["nsenter", "-t", String(pid), "-n", "ip", "-o", "-4"];
  const [addresses, routes] = await Promise.all([output(...enter, "addr"), output(...enter, "route")]);
  const interfaces = [...addresses.matchAll(/^\d+: (\S+)\s+inet (\S+)/gm)].map(
    ([, name, address]) => `${name} ${address}`,
  );
  return { interfaces: interfaces.filter((one) => !one.startsWith("lo ")), routes };
}

const pidOf = ({ state }: Container): number => (state.phase === "running" || state.phase === "paused" ? state.pid : 0);

async function insideOf(container: Container): Promise<string[]> {
  const { interfaces, routes } = await inside(pidOf(container));
  const wanted = container.endpoints.map((one) => `${one.interface} ${one.address}/${one.prefix}`);
  const gateways = container.endpoints.map(({ gateway }) => gateway);
  const [, way = ""] = /^default via (\S+)/m.exec(routes) ?? [];
  return [
    ...compare(`interface of ${container.name}`, interfaces, wanted),
    ...(gateways.includes(way) ? [] : [`way out of ${container.name}: ${way || "none"}, of ${gateways}`]),
  ];
}

/** Addresses by which names in networks of users' own are known. */
async function namedAddresses({ execRoot }: TestDaemon): Promise<string[]> {
  const folder = join(execRoot, "names", "networks");
  const files = await Promise.all(
    (await namesIn(folder)).map((name) => readFile(join(folder, name), "utf8").catch(() => "")),
  );
  return files.flatMap((text) => [...text.matchAll(/^host (\S+)/gm)].map(([, address = ""]) => address));
}

/** @param ports  those that the test's containers publish, over TCP, in networks of users' own only */
export async function networkContradictions(daemon: TestDaemon, ports: readonly number[]): Promise<string[]> {
  const running = rowsOf(daemon).containers.filter((one) => pidOf(one) > 0 && one.endpoints.length > 0);
  const programs = await helpers(daemon, ports);
  const named = programs.filter(([, mode]) => mode === "names").map(([, , , , id = ""]) => id);
  const keepers = programs.filter(([, mode]) => mode !== "names").map(([, , ...words]) => words);
  const kept = keepers.flatMap((words) => keptBy(words[0] === "early" ? words.slice(1) : words));
  const published = running.flatMap(({ publication }) =>
    (publication?.ports ?? []).filter(({ hostAddress }) => hostAddress === "0.0.0.0").map(({ hostPort }) => hostPort),
  );
  const addresses = running.flatMap(({ endpoints }) => endpoints.map(({ address }) => address));
  const led = await ledPorts(daemon);
  return [
    ...(await Promise.all(running.map(insideOf))).flat(),
    ...compare(
      "led port",
      led.map((text) => text.split(" ").slice(0, 2).join(" ")),
      published.map((port) => `tcp ${port}`),
    ),
    ...led.filter((text) => !addresses.includes(text.split(" ")[2] ?? "")).map((text) => `led to nobody: ${text}`),
    ...compare(
      "name service",
      named,
      running.map(({ id }) => id),
    ),
    ...(new Set(named).size === named.length ? [] : [`name services: ${named.length}`]),
    ...compare("kept port", kept, published.map(String)),
    ...(new Set(kept).size === kept.length ? [] : [`keepers: ${kept}`]),
    ...compare("named address", await namedAddresses(daemon), addresses),
  ];
}

/** @returns what lasts: processes end, and interfaces go, some time after who had them */
export async function lastingNetworkContradictions(daemon: TestDaemon, ports: readonly number[]): Promise<string[]> {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const found = await networkContradictions(daemon, ports);
    if (found.length === 0 || Date.now() > deadline) return found;
    await Bun.sleep(10);
  }
}
