/** Ports that a container is to publish from now on, or no longer: what Docker cannot do without making it anew. Pure. */

import { conflict, invalid } from "../base/errors.ts";
import { formatPort, type PortBinding, samePort } from "../network/ports.ts";
import type { HostConfig } from "./config.ts";
import { bindingsOf, isPublishedAs } from "./networking.ts";
import type { Container } from "./records.ts";

export interface PublishChange {
  readonly add: readonly PortBinding[];
  /** An empty address or port of the host means any. */
  readonly remove: readonly PortBinding[];
}

export const changesPorts = ({ add, remove }: PublishChange): boolean => add.length + remove.length > 0;

const describe = ({ port, hostAddress, low, high }: PortBinding): string => {
  const number = low === 0 ? "" : low === high ? `${low}:` : `${low}-${high}:`;
  return `${hostAddress === "" ? "" : `${hostAddress}:`}${number}${formatPort(port)}`;
};

const isSame = (one: PortBinding, other: PortBinding): boolean => describe(one) === describe(other);

/** @throws invalid for a port to remove that is not published, conflict for one to add that is */
export function publishing(
  container: Pick<Container, "id" | "host" | "config" | "publication">,
  change: PublishChange,
): HostConfig {
  const { host } = container;
  if (!changesPorts(change)) return host;
  if (host.namespaces.network !== "own")
    throw conflict(`container ${container.id} has no network of its own, so it can publish no ports`);
  let bindings = bindingsOf(container);
  for (const one of change.remove) {
    const left = bindings.filter((binding) => !isMeant(container, one, binding));
    if (left.length === bindings.length) throw invalid(`container ${container.id} does not publish ${describe(one)}`);
    bindings = left;
  }
  for (const one of change.add) {
    if (one.low > 0 && bindings.some((binding) => isSame(binding, one)))
      throw conflict(`container ${container.id} publishes ${describe(one)} already`);
    bindings = [...bindings, one];
  }
  return { ...host, portBindings: bindings, publishAll: false }; // what was exposed is among them now
}

/** Whether a wish to remove means this binding: by what was asked for, or by the port that it got. */
function isMeant({ publication }: Pick<Container, "publication">, wish: PortBinding, binding: PortBinding): boolean {
  if (!samePort(wish.port, binding.port)) return false;
  if (wish.hostAddress !== "" && wish.hostAddress !== binding.hostAddress) return false;
  if (wish.low === 0 || (wish.low === binding.low && wish.high === binding.high)) return true;
  return (publication?.ports ?? []).some((one) => isPublishedAs(binding, one) && isPublishedAs(wish, one));
}
