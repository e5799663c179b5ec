/** `-p`, `--publish`: ports of a container on the host, as flags and as the API has them. Source: docs.docker.com, `docker run -p`. */

import { UsageError } from "./flags.ts";
import { fieldsOf } from "./mount-flag.ts";
import { pairs } from "./pairs.ts";

export interface HostPort {
  readonly HostIp: string;
  readonly HostPort: string;
}

interface Published {
  /** `80/tcp`. */
  readonly port: string;
  readonly host: HostPort;
}

const wrong = (text: string, why: string): UsageError =>
  new UsageError(`invalid argument "${text}" for "-p, --publish" flag: ${why}`);

function rangeOf(text: string, whole: string): readonly [low: number, high: number] {
  const [, first = "", last = first] = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text) ?? [];
  const [low, high] = [Number(first), Number(last)];
  if (first === "" || high < low || high > 65_535) throw wrong(whole, `invalid port: ${text}`);
  return [low, high];
}

/** `8000-8001:80-81` is each with each; `8000-8010:80` is any of them. */
function paired(
  whole: string,
  address: string,
  host: string,
  container: string,
  protocol: string,
): readonly Published[] {
  const [low, high] = rangeOf(container, whole);
  const count = high - low + 1;
  const ports = Array.from({ length: count }, (_, at) => `${low + at}/${protocol}`);
  if (host === "") return ports.map((port) => ({ port, host: { HostIp: address, HostPort: "" } }));
  const [first, last] = rangeOf(host, whole);
  if (count === 1) return ports.map((port) => ({ port, host: { HostIp: address, HostPort: host } }));
  if (last - first + 1 !== count) throw wrong(whole, "invalid ranges specified for container and host Ports");
  return ports.map((port, at) => ({ port, host: { HostIp: address, HostPort: String(first + at) } }));
}

/** `published=8080,target=80,protocol=tcp,host_ip=…`: the long form. */
function parseLong(text: string): readonly Published[] {
  const { target, published = "", protocol = "tcp", mode = "host", host_ip = "", ...rest } = pairs(fieldsOf(text));
  const unknown = Object.keys(rest)[0];
  if (unknown !== undefined) throw wrong(text, `invalid field key ${unknown}`);
  if (!target) throw wrong(text, "invalid field target");
  if (!["host", "ingress"].includes(mode)) throw wrong(text, `invalid publish mode value (${mode})`);
  return paired(text, host_ip, published, target, protocol);
}

/** `[ip:][host]:container[/protocol]`, ranges, or the long form. @throws UsageError */
export function parsePublish(text: string): readonly Published[] {
  if (text.includes("target=")) return parseLong(text);
  const [, ports = "", protocol = "tcp"] = /^(.*?)(?:\/([a-z]+))?$/i.exec(text) ?? [];
  const spec = /^(?:(?:\[([^\]]*)\]|(\d+\.[\d.]*)):([\d-]*):|([\d-]+):)?([\d-]+)$/;
  const [, bracketed, plain, onAddress, anywhere, container = ""] = spec.exec(ports) ?? [];
  if (container === "") throw wrong(text, "want [ip:][host port:]container port[/protocol]");
  return paired(text, bracketed ?? plain ?? "", onAddress ?? anywhere ?? "", container, protocol.toLowerCase());
}

/** The API's PortBindings, and what is exposed by them. */
export function portBindings(items: readonly string[]): Record<string, readonly HostPort[]> {
  const map: Record<string, HostPort[]> = {};
  for (const { port, host } of items.flatMap(parsePublish)) map[port] = [...(map[port] ?? []), host];
  return map;
}
