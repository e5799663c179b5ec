/** Looks the containers over: what is there of them on disk, in the kernel and in the records, and does not belong together. */

import { rm } from "node:fs/promises";
import type { Problem } from "../base/finding.ts";
import { mountsBelow } from "../base/mountinfo.ts";
import type { Runtime } from "../runtime/runtime.ts";
import type { Snapshots } from "../store/snapshot.ts";
import type { ContainerCgroups } from "./cgroups.ts";
import type { Containers } from "./containers.ts";
import { snapshotsOf } from "./image-mounts.ts";
import type { Launcher } from "./launch.ts";

export interface ContainerCheckerOptions {
  readonly containers: Containers;
  readonly launcher: Launcher;
  readonly runtime: Runtime;
  readonly cgroups: ContainerCgroups;
  readonly snapshotter: Snapshots;
  /** Where volumes are mounted that somebody uses. */
  readonly volumeMounts: () => ReadonlySet<string>;
  /** Where layers are mounted, and where nothing is but volumes. */
  readonly mountRoots: { readonly layers: string; readonly data: string };
}

/** Files whose names begin so are unfinished: at work, or swept at the next start. */
const isUnfinished = (name: string): boolean => /^(new|rm)-/.test(name);

export class ContainerChecker {
  readonly #options: ContainerCheckerOptions;

  constructor(options: ContainerCheckerOptions) {
    this.#options = options;
  }

  async *check(): AsyncGenerator<Problem> {
    yield* this.#snapshots();
    yield* this.#folders();
    yield* this.#containers();
    yield* this.#tasks();
    yield* this.#cgroups();
    yield* this.#mounts();
  }

  async *#snapshots(): AsyncGenerator<Problem> {
    const { snapshotter, containers } = this.#options;
    const keys: string[] = [];
    for await (const key of snapshotter.listSnapshots()) keys.push(key);
    for (const key of keys) {
      if (containers.owns(key)) continue;
      const repair = async () => {
        await snapshotter.removeSnapshot(key);
        return "removed";
      };
      yield { what: "snapshot", name: key, detail: "no container has it", repair };
    }
  }

  async *#folders(): AsyncGenerator<Problem> {
    const { containers } = this.#options;
    for (const name of await containers.records.folders()) {
      if (isUnfinished(name) || containers.owns(name)) continue;
      const repair = async () => {
        await rm(containers.records.folder(name), { recursive: true, force: true });
        return "removed";
      };
      yield { what: "container", name, detail: "its folder is there, and no record of it", repair };
    }
  }

  async *#containers(): AsyncGenerator<Problem> {
    const { containers, snapshotter } = this.#options;
    const folders = new Set(await containers.records.folders());
    for (const { id, config, host, state } of containers.records.all()) {
      if (state.phase === "removing") continue;
      const detail = await snapshotter.usage(id).then(
        () => undefined,
        () => "its files are missing or damaged: remove it",
      );
      if (detail !== undefined && containers.owns(id)) yield { what: "container", name: id, detail };
      if (folders.has(id)) continue;
      const repair = async () => {
        await containers.records.writeFiles(id, { "config.v2.json": config, "hostconfig.json": host });
        return "written again";
      };
      yield { what: "container", name: id, detail: "its folder is missing", repair };
    }
  }

  async *#tasks(): AsyncGenerator<Problem> {
    const { runtime, launcher, containers } = this.#options;
    for (const id of await runtime.list()) {
      const [container = ""] = id.split("/");
      if (containers.isLive(container)) continue;
      const repair = async () => {
        await launcher.forget(id);
        return "removed";
      };
      yield { what: "task", name: id, detail: "its run directory is there, and its container does not run", repair };
    }
  }

  async *#cgroups(): AsyncGenerator<Problem> {
    const { cgroups, containers } = this.#options;
    for (const id of await cgroups.list()) {
      if (containers.isLive(id)) continue;
      const repair = async () => {
        await cgroups.remove(id);
        return "removed";
      };
      yield { what: "cgroup", name: id, detail: "its container does not run", repair };
    }
  }

  /** Layers stay mounted for running containers only, volumes for whoever uses them, and nothing else of the daemon's side is ever mounted. */
  async *#mounts(): AsyncGenerator<Problem> {
    const { mountRoots, launcher } = this.#options;
    await launcher.releaseLayers();
    const used = await this.#usedMounts();
    for (const name of await mountsBelow(mountRoots.layers))
      if (!used.has(name)) yield { what: "mount", name, detail: "no running container needs it" };
    const volumes = this.#options.volumeMounts();
    for (const name of await mountsBelow(mountRoots.data))
      if (!volumes.has(name)) yield { what: "mount", name, detail: "somebody else has mounted it: unmount it" };
  }

  async #usedMounts(): Promise<ReadonlySet<string>> {
    const { containers, snapshotter } = this.#options;
    const used = new Set<string>();
    const live = containers.records.all().filter(({ id }) => containers.isLive(id));
    for (const key of live.flatMap(snapshotsOf)) {
      const mounts = await snapshotter.mounts(key, "/").catch(() => []); // it has just gone
      for (const { target, type } of mounts) if (type === "layer") used.add(target);
    }
    return used;
  }
}
