/** Why a name or a port of a container does not work: looked for on the way from the host to the process that should answer. */

import { checkHost, type Finding, ok, problem, textOf, warning } from "../network/checkup.ts";
import type { Place } from "../network/endpoints.ts";
import { hasDefaultRoute, isOpen, type Listener, parseListeners } from "../network/listeners.ts";
import { isAlive } from "../network/net-program.ts";
import type { PublishedPort } from "../network/ports.ts";
import { describePort } from "../network/published-ports.ts";
import { bindingsOf, type Networking } from "./networking.ts";
import type { Container, Records } from "./records.ts";
import { isLive } from "./state.ts";

export class NetworkDoctor {
  constructor(
    readonly networking: Networking,
    readonly records: Records,
  ) {}

  /** @param reference  a container; undefined for the host alone. @throws notFound */
  examine(reference: string | undefined): readonly Finding[] {
    const { ports, endpoints } = this.networking;
    const host = checkHost(ports.firewall, endpoints);
    return reference === undefined ? host : [...host, ...this.#examineContainer(this.records.get(reference))];
  }

  #examineContainer(container: Container): readonly Finding[] {
    const { id, name, host, state } = container;
    if (!isLive(state))
      return [problem(`${name} does not run`, `bosun start ${name}; bosun logs ${name} tells why it ended`)];
    if (host.namespaces.network !== "own")
      return [
        ok(`${name} has no network of its own but that of ${host.namespaces.network}: its ports are found there`),
      ];
    const places = [...this.networking.endpoints.of(id).values()];
    return [
      ...places.flatMap((place) => this.#examinePlace(place, state.pid)),
      ...this.#examineRoute(id, state.pid),
      ...this.#examineNames(container),
      ...this.#examinePorts(container, state.pid),
    ];
  }

  #examinePlace({ network, endpoint }: Place, pid: number): readonly Finding[] {
    if (endpoint.interface === "")
      return [warning(`network ${network.name} has no interfaces`, "connect it to another network")];
    const address = [endpoint.address, endpoint.address6].filter((text) => text !== "").join(" and ");
    return this.networking.endpoints.netlink.isUp(endpoint.interface, pid)
      ? [ok(`${endpoint.interface} is up in network ${network.name}, with ${address}`)]
      : [
          problem(
            `${endpoint.interface} of network ${network.name} is down or gone in the container`,
            "restart the container; something in it has changed its interfaces",
          ),
        ];
  }

  #examineRoute(id: string, pid: number): readonly Finding[] {
    const way = this.networking.wayOut(id);
    if (!way)
      return [
        warning(
          "no network of the container leads out: it reaches nobody outside, and publishes no ports",
          "connect it to a network that is not internal",
        ),
      ];
    if (way.endpoint.gateway === "" || hasDefaultRoute(textOf(`/proc/${pid}/net/route`)))
      return [ok(`the way out leads through network ${way.network.name}`)];
    return [
      problem(
        "the container has no default route, though it should have",
        "restart the container; something in it has changed its routes",
      ),
    ];
  }

  #examineNames({ id, name }: Container): readonly Finding[] {
    const { naming } = this.networking;
    const servers = /^nameserver\s+(\S+)/gm;
    const file = `${this.records.folder(id)}/resolv.conf`;
    const asked = [...textOf(file).matchAll(servers)].map(([, server]) => server);
    if (asked.length === 0)
      return [problem("resolv.conf names no server: no name is found", "give --dns to run, or to the daemon")];
    const loopback = asked.filter((server) => server?.startsWith("127.") && server !== "127.0.0.11");
    if (loopback.length > 0)
      return [
        problem(
          `resolv.conf names ${loopback.join()}, where nobody answers in the container`,
          "give --dns to run, or to the daemon",
        ),
      ];
    const isNamed = naming.isNamed(id);
    if (!isNamed)
      return [
        ok(`names are asked of ${asked.join(", ")}`),
        warning(
          "containers are not found by name in the default networks",
          `bosun network create mine; bosun network connect mine ${name}`,
        ),
      ];
    return naming.isServed(id)
      ? [ok(`names are asked of ${asked.join(", ")}, and the container's name service runs`)]
      : [problem("the container's name service does not run", "restart the container")];
  }

  #examinePorts(container: Container, pid: number): readonly Finding[] {
    const { publication, config } = container;
    const published = publication?.ports ?? [];
    if (bindingsOf(container).length === 0) {
      const open = listenersOf(pid).filter(isOpen);
      const some = open.map(({ port, protocol }) => `${port}/${protocol}`).join(", ");
      const advice = `bosun update --publish-add ${open[0]?.port ?? 80} ${container.name}`;
      return [
        warning(
          `no port is published${some === "" ? "" : `, and it listens on ${some}`}${config.exposedPorts.length > 0 ? "; exposing is not publishing" : ""}`,
          advice,
        ),
      ];
    }
    const keeper = publication?.keeper;
    const kept =
      keeper && !isAlive(keeper)
        ? [
            problem(
              "the process that holds its ports has ended: what is relayed is refused",
              "restart the daemon, which starts it again",
            ),
          ]
        : [];
    return [
      ...kept,
      ...published.map((port) => this.#examinePort(port, listenersOf(pid), this.networking.wayOut(container.id))),
    ];
  }

  #examinePort(published: PublishedPort, all: readonly Listener[], way: Place | undefined): Finding {
    const { port } = published;
    const text = describePort(published);
    if (port.protocol === "sctp") return warning(`${text} is led; who listens for SCTP is not known`, "look inside");
    const listening = all.filter((one) => one.protocol === port.protocol && one.port === port.number);
    if (listening.length === 0) {
      const others = all.filter((one) => one.protocol === port.protocol && isOpen(one)).map((one) => one.port);
      const where =
        others.length > 0
          ? `it listens on ${[...new Set(others)].join(", ")}: publish that instead`
          : "look at its logs";
      return problem(`${text}: nothing in the container listens on ${port.number}/${port.protocol}`, where);
    }
    if (!listening.some(isOpen))
      return problem(
        `${text}: the container listens on its own loopback only`,
        "have the program listen on 0.0.0.0 or [::]",
      );
    return ok(`${text} is led to a program that listens${connectionsOf(port.number, way)}`);
  }
}

function listenersOf(pid: number): readonly Listener[] {
  return (["tcp", "udp"] as const).flatMap((protocol) =>
    ["", "6"].flatMap((suffix) => parseListeners(textOf(`/proc/${pid}/net/${protocol}${suffix}`), protocol)),
  );
}

/** How many connections the kernel leads there now; nothing where it does not list them. */
function connectionsOf(port: number, way: Place | undefined): string {
  const table = textOf("/proc/net/nf_conntrack");
  if (table === "" || !way || way.endpoint.address === "") return "";
  const answers = new RegExp(`\\bsrc=${way.endpoint.address.replaceAll(".", "\\.")} dst=\\S+ sport=${port} `, "g");
  return `; ${[...table.matchAll(answers)].length} connections`;
}
