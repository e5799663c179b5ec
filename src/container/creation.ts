/** From a request to a container that can be started: its record, its snapshot, its volumes. */

import type { Digest } from "../base/digest.ts";
import { invalid, kindOf, messageOf } from "../base/errors.ts";
import { newId } from "../base/ids.ts";
import type { Platform } from "../base/oci.ts";
import type { Attachment } from "../network/attachment.ts";
import { type ContainerRequest, type HostConfig, mergeConfig, topOf } from "./config.ts";
import { checkPlatform, warningsOf } from "./image.ts";
import { type ImageMount, type ImageMountRequest, imageKey, snapshotsOf } from "./image-mounts.ts";
import { settledLinks } from "./legacy-links.ts";
import type { Life } from "./life.ts";
import { randomName } from "./names.ts";
import { modesOf } from "./namespaces.ts";
import { type Container, checkName } from "./records.ts";

/** On the host's network every port is the host's already. */
const portWarnings = ({ namespaces, portBindings }: HostConfig): readonly string[] =>
  namespaces.network === "host" && portBindings.length > 0
    ? ["Published ports are discarded when using host network mode"]
    : [];

export class Creation {
  readonly #life: Life;
  /** Being created: files of theirs are there, and no record yet. */
  readonly #creating = new Set<string>();

  constructor(life: Life) {
    this.#life = life;
  }

  /** Whether a container is being created. */
  has(id: string): boolean {
    return this.#creating.has(id);
  }

  /** Nothing is mounted, no process exists afterwards. @throws notFound, conflict, invalid */
  async create(
    name: string | undefined,
    request: ContainerRequest,
    wanted: HostConfig,
    networks: readonly Attachment[],
    platform?: Platform,
  ): Promise<{ readonly id: string; readonly warnings: readonly string[] }> {
    const { records, snapshotter, launcher, cgroups, volumes } = this.#life.options;
    const image = await this.#life.options.findImage(request.image, platform);
    checkPlatform(request.image, image.config, platform);
    const id = newId();
    const { locks } = this.#life;
    const isTaken = (one: string) => records.isTaken(one) || locks.isHeld(`name:${one}`); // by who is about to take it
    const chosen = name === undefined ? randomName(isTaken) : checkName(name);
    await using _ = await locks.acquire(`name:${chosen}`);
    records.checkFree(chosen);
    const config = mergeConfig(image.config.config, request, launcher.defaultHostname(id, wanted));
    const host = {
      ...wanted,
      resources: cgroups.possible(wanted.resources),
      ...modesOf(wanted, records),
      links: settledLinks(wanted.links, records),
    };
    const images = await Promise.all(wanted.images.map((one) => this.#mountedImage(one)));
    const asked: Container = {
      id,
      name: chosen,
      created: new Date().toISOString(),
      imageId: image.id,
      config,
      host,
      state: { phase: "created" },
      restartCount: 0,
      networks,
      endpoints: [],
      ...(images.length > 0 && { imageMounts: images.map(({ mount }) => mount) }),
    };
    await launcher.check(asked);
    this.#creating.add(id);
    await using undo = new AsyncDisposableStack();
    undo.defer(() => void this.#creating.delete(id));
    undo.defer(() => volumes.release(id, true));
    const mounts = await volumes.create(id, config, host);
    const container = { ...asked, host: { ...host, binds: mounts.binds }, volumes: mounts.volumes };
    undo.defer(() => records.remove(id));
    await records.writeFiles(id, { "config.v2.json": container.config, "hostconfig.json": container.host });
    undo.defer(async () => void (await Promise.all(snapshotsOf(asked).map((key) => snapshotter.removeSnapshot(key)))));
    await snapshotter.prepare(id, image.config.rootfs.diff_ids, topOf(host));
    for (const [index, { layers }] of images.entries())
      await snapshotter.prepare(imageKey(id, index), layers, { readonly: true });
    await volumes.fill(container);
    records.save(container);
    undo.move();
    volumes.settle(id);
    this.#creating.delete(id);
    this.#life.emit(container, "create");
    return {
      id,
      warnings: [...warningsOf(image.config, platform), ...cgroups.warnings(wanted.resources), ...portWarnings(wanted)],
    };
  }

  /** Of its own image alone a client may hear that it is not found: it pulls that then. @throws invalid */
  async #mountedImage(request: ImageMountRequest): Promise<{ mount: ImageMount; layers: readonly Digest[] }> {
    const { id, config } = await this.#life.options.findImage(request.image, undefined).catch((error: unknown) => {
      throw kindOf(error) === "notFound" ? invalid(messageOf(error), { cause: error }) : error;
    });
    return { mount: { ...request, imageId: id }, layers: config.rootfs.diff_ids };
  }
}
