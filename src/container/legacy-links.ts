/** Links between containers: who is linked to whom, kept by id so that both may be renamed. What they are good for is in links.ts. */

import { conflict, internal, invalid, messageOf, notFound } from "../base/errors.ts";
import type { HostConfig } from "./config.ts";
import { type Link, type Linked, parseLink } from "./links.ts";
import type { Container, Records } from "./records.ts";
import { isLive } from "./state.ts";

/** Of a request, as they are kept: `id:alias`. @throws invalid in Docker's words */
export function settledLinks(links: readonly string[], records: Records): readonly string[] {
  return links.map((text) => {
    const { target, alias } = parseLink(text);
    const { id, host } = linkable(target, records);
    if (host.namespaces.network === "host")
      throw invalid(
        "conflicting options: host type networking can't be used with links. This would result in undefined behavior",
      );
    return `${id}:${alias}`;
  });
}

function linkable(target: string, records: Records): Container {
  try {
    return records.get(target);
  } catch (error) {
    throw invalid(`could not get container for ${target}: ${messageOf(error)}`); // not notFound: clients would pull the image
  }
}

interface Child extends Link {
  readonly container: Container;
}

/** Those that are there still. */
const childrenOf = ({ host }: Container, records: Records): readonly Child[] =>
  host.links.flatMap((text) => {
    const link = parseLink(text);
    const container = records.find(link.target);
    return container ? [{ ...link, container }] : [];
  });

/** As inspect shows them: `/db:/web/alias`. */
export const linksView = (parent: Container, records: Records): readonly string[] =>
  childrenOf(parent, records).map(({ container, alias }) => `/${container.name}:/${parent.name}/${alias}`);

/** Further names of containers, by id: `/web/alias`. */
export function linkNames(records: Records): ReadonlyMap<string, readonly string[]> {
  const names = new Map<string, string[]>();
  for (const parent of records.all())
    for (const { target, alias } of parent.host.links.map(parseLink))
      names.set(target, [...(names.get(target) ?? []), `/${parent.name}/${alias}`]);
  return names;
}

/** Only on the default bridge are links more than names. */
const isLegacy = ({ networkMode, links }: HostConfig): boolean => networkMode === "bridge" && links.length > 0;

/** Who has to hear of a container that has got new addresses. */
export const parentsOf = (id: string, records: Records): readonly Container[] =>
  records
    .all()
    .filter(
      ({ host, state }) => isLive(state) && isLegacy(host) && host.links.some((one) => parseLink(one).target === id),
    );

function toLinked(parent: Container, { container, alias }: Child, bridgeId: string): Linked | undefined {
  const endpoint = container.endpoints.find(({ networkId }) => networkId === bridgeId);
  return (
    endpoint && {
      ...{ name: container.name, parent: parent.name, alias, hostname: container.config.hostname },
      addresses: [endpoint.address, endpoint.address6].filter((address) => address !== ""),
      ...{ env: container.config.env, exposedPorts: container.config.exposedPorts },
    }
  );
}

/** Of a container that runs: those of its children that do. */
export const linkedNow = (parent: Container, records: Records, bridgeId: string): readonly Linked[] =>
  isLegacy(parent.host) ? childrenOf(parent, records).flatMap((child) => toLinked(parent, child, bridgeId) ?? []) : [];

/** Of one that is about to start. @throws conflict in Docker's words unless all of its children run on the default bridge */
export function linkedAtStart(parent: Container, records: Records, bridgeId: string): readonly Linked[] {
  if (!isLegacy(parent.host)) return [];
  return childrenOf(parent, records).map((child) => {
    const { container, alias } = child;
    if (!isLive(container.state))
      throw conflict(`Cannot link to a non running container: /${container.name} AS /${parent.name}/${alias}`);
    const linked = toLinked(parent, child, bridgeId);
    if (!linked) throw conflict(`container ${container.id} is not attached to default bridge network`);
    return linked;
  });
}

/**
 * The parent without a link. @param name  `web/alias`, with or without a slash before it
 * @throws conflict, internal, notFound
 */
export function withoutLink(name: string, records: Records): Container {
  const [, parentName = "", alias = ""] = /^\/?(?:(.*)\/)?([^/]*)$/.exec(name) ?? [];
  if (parentName === "") throw conflict("Conflict, cannot remove the default link name of the container");
  let parent: Container;
  try {
    parent = records.get(parentName);
  } catch {
    throw internal(`cannot get parent /${parentName} for link name /${alias}`);
  }
  const links = parent.host.links.filter((one) => parseLink(one).alias !== alias);
  if (links.length === parent.host.links.length) throw notFound(`No such link: /${parentName}/${alias}`);
  return { ...parent, host: { ...parent.host, links } };
}
