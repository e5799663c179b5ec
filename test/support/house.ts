/**
 * The API over the real container room, with the rooms below made up: no root, no kernel, no socket. A request goes in as an object, and what the
 * lower rooms hold can be looked at.
 */

import { type Duplex, duplexPair } from "node:stream";
import { absentRouter } from "../../src/api/absent.ts";
import { containersRouter } from "../../src/api/containers.ts";
import { execRouter } from "../../src/api/exec.ts";
import type { Handler } from "../../src/api/listen.ts";
import { networksRouter } from "../../src/api/networks.ts";
import { Pruning } from "../../src/api/pruning.ts";
import { createApi } from "../../src/api/server.ts";
import { type SystemFacts, systemRouter } from "../../src/api/system.ts";
import { viewContext } from "../../src/api/view-context.ts";
import { volumesRouter } from "../../src/api/volumes.ts";
import { digestOf } from "../../src/base/digest.ts";
import { notFound } from "../../src/base/errors.ts";
import { silent } from "../../src/base/logger.ts";
import type { RunConfig } from "../../src/base/oci.ts";
import { CdiDevices } from "../../src/container/cdi.ts";
import { ContainerCgroups } from "../../src/container/cgroups.ts";
import { Confinement } from "../../src/container/confinement.ts";
import { type ContainerImage, Containers, type ContainersOptions } from "../../src/container/containers.ts";
import { Execs } from "../../src/container/exec.ts";
import { HealthMonitor } from "../../src/container/health-monitor.ts";
import { Launcher } from "../../src/container/launch.ts";
import { ContainerLogs } from "../../src/container/logs.ts";
import type { Networking } from "../../src/container/networking.ts";
import { containerMigrations, Records } from "../../src/container/records.ts";
import { ContainerVolumes } from "../../src/container/volumes.ts";
import { Events } from "../../src/events.ts";
import { hostPlatform } from "../../src/image/platform.ts";
import { jsonFileLog } from "../../src/log/driver-json-file.ts";
import { noLog } from "../../src/log/driver-none.ts";
import { networkMigrations } from "../../src/network/networks.ts";
import { Database } from "../../src/store/database.ts";
import { LocalDriver } from "../../src/volume/driver-local.ts";
import { VolumeDrivers } from "../../src/volume/drivers.ts";
import { volumeMigrations } from "../../src/volume/records.ts";
import { Volumes } from "../../src/volume/volumes.ts";
import { FakeCgroups } from "../fake/cgroups.ts";
import { FakeKernel } from "../fake/netlink.ts";
import { fakeNetworks, NO_RESOLV } from "../fake/networks.ts";
import { FakeRuntime, type FakeTask } from "../fake/runtime.ts";
import { FakeSnapshotter } from "../fake/snapshotter.ts";
import { type Folder, makeFolder } from "./folder.ts";
import { HOST_DEFAULTS } from "./plans.ts";

const LAYER = new TextEncoder().encode("a layer");

const imageNamed = (name: string, config: RunConfig): ContainerImage => ({
  id: digestOf(new TextEncoder().encode(name)),
  config: { ...hostPlatform(), config, rootfs: { type: "layers", diff_ids: [digestOf(LAYER)] } },
});

/** All that there is: `busybox`, `keeper`, which has volumes, and `worker`, which says more of itself. */
const IMAGES = new Map([
  ["busybox", imageNamed("busybox", { Cmd: ["sleep"] })],
  ["keeper", imageNamed("keeper", { Cmd: ["sleep"], Volumes: { "/data": {}, "/logs/": {} } })],
  ["worker", imageNamed("worker", { Cmd: ["sleep"], Labels: { kind: "worker" }, ExposedPorts: { "80/tcp": {} } })],
]);

const FACTS: SystemFacts = {
  version: { engine: "1.2.3", commit: "abcdef0", built: "2024-01-01T00:00:00Z", bun: "1.0.0" },
  host: {
    kernel: "6.1.0",
    operatingSystem: "Test",
    osVersion: "1",
    machine: "x86_64",
    architecture: "amd64",
    name: "host",
    cpus: 2,
    memory: 2 ** 30,
  },
  info: async () => ({ ID: "the-id", Containers: 0 }),
};

export interface Ask {
  readonly body?: unknown;
  /** Sent as it is, in place of `body`. */
  readonly text?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  /** Asks for an upgrade; the client's end of the connection is then in the answer. */
  readonly upgrade?: boolean;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly response: Response;
  /** Set when the connection was taken over. */
  readonly client: Duplex | undefined;
  /** The `Content-Type` of the 101. */
  readonly acceptedAs: string | undefined;
}

/** Sends one request to an API. */
export async function ask(
  api: Handler,
  line: string,
  { body, text, headers = {}, signal, upgrade = false }: Ask = {},
): Promise<Answer> {
  const [method = "", path = ""] = line.split(" ");
  const content = text ?? (body === undefined ? undefined : JSON.stringify(body));
  const request = new Request(`http://bosun${path}`, {
    method,
    headers: { ...(content !== undefined && { "Content-Type": "application/json" }), ...headers },
    ...(content !== undefined && { body: content }),
  });
  const [client, server] = duplexPair();
  let acceptedAs: string | undefined;
  const accept = (contentType: string) => {
    acceptedAs = contentType;
    return server;
  };
  const response = await api(request, {
    signal: signal ?? new AbortController().signal,
    upgrade: upgrade ? { protocol: "tcp", accept, switchProtocols: () => accept("") } : undefined,
  });
  const taken = acceptedAs !== undefined;
  return {
    status: taken ? 101 : response.status,
    headers: response.headers,
    response,
    client: taken ? client : undefined,
    acceptedAs,
  };
}

export type HouseOptions = Pick<ContainersOptions, "firstRestartMs">;

export class House implements AsyncDisposable {
  readonly runtime = new FakeRuntime();
  readonly cgroups = new FakeCgroups();
  readonly snapshotter = new FakeSnapshotter();
  readonly events = new Events();
  readonly database = new Database(":memory:", [...networkMigrations, ...volumeMigrations, ...containerMigrations]);
  readonly kernel = new FakeKernel();
  readonly networking: Networking;
  readonly networks: Networking["networks"];
  readonly endpoints: Networking["endpoints"];
  readonly records: Records;
  readonly volumes: Volumes;
  /** Paths of the image that volumes were filled from. */
  readonly copiedUp: string[] = [];
  readonly #containerVolumes: ContainerVolumes;
  readonly #logs: ContainerLogs;
  readonly containers: Containers;
  readonly execs: Execs;
  readonly api: Handler;
  readonly #health: HealthMonitor;
  /** Images that containers have let go. */
  readonly released: string[] = [];

  private constructor(
    readonly folder: Folder,
    options: HouseOptions,
  ) {
    this.records = new Records(this.database, `${folder.path}/containers`);
    this.networking = fakeNetworks(this.records, this.database, this.kernel, this.events);
    this.networks = this.networking.networks;
    this.endpoints = this.networking.endpoints;
    this.volumes = new Volumes({
      database: this.database,
      drivers: new VolumeDrivers([new LocalDriver(`${folder.path}/volumes`)]),
      emit: (action, name, attributes) => this.events.emit("volume", action, name, attributes),
    });
    this.#containerVolumes = new ContainerVolumes({
      volumes: this.volumes,
      records: this.records,
      copyUp: async (_, path) => void this.copiedUp.push(path),
    });
    this.#logs = new ContainerLogs({ records: this.records, drivers: [jsonFileLog, noLog], log: silent });
    const cgroups = new ContainerCgroups(this.cgroups, "/bosun", (id) => this.records.find(id)?.host.cgroupParent);
    const launcher = this.#launcher(cgroups);
    this.containers = new Containers({
      ...options,
      records: this.records,
      launcher,
      cgroups,
      snapshotter: this.snapshotter,
      volumes: this.#containerVolumes,
      logs: this.#logs,
      events: this.events,
      log: silent,
      findImage: async (reference) => {
        const image = IMAGES.get(reference);
        if (!image) throw notFound(`No such image: ${reference}:latest`);
        return image;
      },
      released: async (id) => void this.released.push(id),
      layerLingerMs: 0,
    });
    this.execs = new Execs(this.containers, launcher, this.runtime, silent);
    this.#health = new HealthMonitor(this.containers, this.execs, silent);
    this.api = this.#api();
    this.snapshotter.layers.set(digestOf(LAYER), LAYER);
  }

  static async open(options: HouseOptions = {}): Promise<House> {
    return new House(await makeFolder(), options);
  }

  #launcher(cgroups: ContainerCgroups): Launcher {
    return new Launcher({
      records: this.records,
      runtime: this.runtime,
      cgroups,
      snapshotter: this.snapshotter,
      networking: this.networking,
      volumes: this.#containerVolumes,
      cdi: new CdiDevices([]),
      logs: this.#logs,
      log: silent,
      defaults: {
        init: false,
        ulimits: [],
        resolver: { servers: [], search: [], options: [] },
        hostGateways: [],
      },
      hostResolv: NO_RESOLV,
      rootfs: `${this.folder.path}/rootfs`,
      skeleton: `${this.folder.path}/skeleton`,
      initPath: "/init",
      confinement: new Confinement({
        defaults: { noNewPrivileges: false, hasAppArmor: false },
        capabilities: 2n ** 41n - 1n,
        seccomp: () => undefined,
        confinable: async () => {},
      }),
    });
  }

  #api(): Handler {
    const { containers, snapshotter, execs, networks, records, events, volumes } = this;
    const pruning = new Pruning(events);
    return createApi(
      [
        systemRouter(FACTS, events),
        absentRouter(),
        containersRouter({
          containers,
          snapshotter,
          view: viewContext({
            ...{ records, networks, execs, volumes, snapshotter, logs: this.#logs },
            images: {
              sizeOf: () => LAYER.byteLength,
              descendants: (name) => new Set([IMAGES.get(name)].flatMap((image) => image?.id ?? [])),
            },
            canDisableOomKill: true,
            security: { noNewPrivileges: false, hasAppArmor: false },
          }),
          logReader: {
            read: (container, options) => this.#logs.read(container, options),
            changes: (container, signal) => containers.logChanges(container, signal),
          },
          defaults: HOST_DEFAULTS,
          pruning,
        }),
        execRouter(containers, execs),
        volumesRouter(volumes, pruning),
        networksRouter({ networks, endpoints: this.endpoints, containers, pruning }),
      ],
      { version: "1.2.3" },
      silent,
    );
  }

  ask = (line: string, options?: Ask): Promise<Answer> => ask(this.api, line, options);

  /** @returns the status and the answer's JSON. @param line  as `GET /info` */
  async json(
    line: string,
    body?: unknown,
  ): Promise<{ status: number; body: Record<string, unknown> & { readonly message?: string } }> {
    const { status, response } = await this.ask(line, body === undefined ? {} : { body });
    const text = await response.text();
    return { status, body: text === "" ? {} : JSON.parse(text) };
  }

  /** A container of these words. @returns its id */
  async create(cmd: readonly string[], more: object = {}, query = ""): Promise<string> {
    const { status, body } = await this.json(`POST /containers/create${query}`, {
      Image: "busybox",
      Cmd: cmd,
      ...more,
      HostConfig: {
        NetworkMode: "none",
        ...("HostConfig" in more && typeof more.HostConfig === "object" ? more.HostConfig : {}),
      },
    });
    if (status !== 201) throw new Error(`${status}: ${body.message}`);
    return String(body.Id);
  }

  async run(cmd: readonly string[], more: object = {}, query = ""): Promise<string> {
    const id = await this.create(cmd, more, query);
    const { status, body } = await this.json(`POST /containers/${id}/start`);
    if (status !== 204) throw new Error(`${status}: ${body.message}`);
    return id;
  }

  /** @throws Error when it does not run */
  task(id: string): FakeTask {
    const task = this.runtime.tasks.get(id);
    if (!task) throw new Error(`no task ${id}`);
    return task;
  }

  /** What the lower rooms hold for containers that run. */
  held(): Record<string, number> {
    const members = this.networks.list().reduce((sum, { id }) => sum + this.endpoints.members(id).size, 0);
    return { tasks: this.runtime.tasks.size, cgroups: this.cgroups.limits.size, endpoints: members };
  }

  /** What is under way, as a start by policy, would write into a folder that is gone. */
  async #quiet(): Promise<void> {
    const isBusy = () => this.records.all().some(({ id }) => this.containers.isLive(id));
    for (let tries = 0; tries < 500 && isBusy(); tries++) {
      await Bun.sleep(1);
      for (const task of this.runtime.tasks.values()) task.end(137, 9);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#health[Symbol.dispose]();
    this.containers[Symbol.dispose]();
    await this.#logs[Symbol.asyncDispose]();
    for (const task of this.runtime.tasks.values()) task.end(137, 9);
    await this.#quiet();
    this.database.close();
    await this.folder[Symbol.asyncDispose]();
  }
}

/** Everything that has happened, as `container start`. */
export async function actionsOf({ events }: House): Promise<string[]> {
  const all = await Array.fromAsync(events.watch({ since: 0n, signal: AbortSignal.abort() }));
  return all.map(({ type, action }) => `${type} ${action}`);
}
