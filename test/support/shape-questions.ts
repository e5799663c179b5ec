/**
 * What an engine is asked for its shapes (see shapes.ts): the same questions, in the same situations, to a real dockerd (record-shapes.ts keeps its
 * answers in test/golden) and to ours. Everything is made by the questions themselves, on an engine with an image `busybox` and nothing else.
 */

import { type Shape, shapeOf } from "./shapes.ts";

/** Sends a request. @param path  without the version */
export type Ask = (method: string, path: string, body?: object) => Promise<Response>;

export interface Answered {
  readonly status: number;
  /** Of an error, with ids left out. */
  readonly message?: string;
  readonly shape?: Shape;
}

/** By topic, and by question. */
export type Answers = Readonly<Record<string, Readonly<Record<string, Answered>>>>;

const withoutIds = (message: string): string => message.replace(/\b[0-9a-f]{12}([0-9a-f]{52})?\b/g, "<id>").trim();

async function answered(response: Response): Promise<Answered> {
  const { status } = response;
  const text = await response.text();
  if (status >= 400) return { status, message: withoutIds(String(JSON.parse(text).message)) };
  return text === "" ? { status } : { status, shape: shapeOf(JSON.parse(text)) };
}

const HOUR = 3_600_000_000_000;

/** Containers by what they are for. */
const CONTAINERS: Readonly<Record<string, object>> = {
  created: { Cmd: ["true"], HostConfig: { NetworkMode: "none" } },
  running: {
    Cmd: ["sleep", "1000"],
    ...{ Labels: { kind: "shape" }, ExposedPorts: { "80/tcp": {} }, StopSignal: "SIGKILL", Env: ["A=b"] },
    Healthcheck: { Test: ["CMD", "true"], Interval: HOUR, StartPeriod: HOUR, StartInterval: 50_000_000 },
    HostConfig: {
      ...{ PortBindings: { "80/tcp": [{ HostIp: "127.0.0.1", HostPort: "" }] }, Memory: 64 << 20 },
      ...{ Binds: ["shape:/data"], Tmpfs: { "/tmp": "" }, ExtraHosts: ["somewhere:10.1.2.3"] },
      Ulimits: [{ Name: "nofile", Soft: 64, Hard: 128 }],
    },
  },
  networked: {
    Cmd: ["sleep", "1000"],
    ...{
      StopSignal: "SIGKILL",
      HostConfig: { NetworkMode: "shape", Mounts: [{ Type: "volume", Target: "/anonymous" }] },
    },
    NetworkingConfig: { EndpointsConfig: { shape: { Aliases: ["other"], IPAMConfig: { IPv4Address: "10.89.77.5" } } } },
  },
  terminal: {
    Cmd: ["sleep", "1000"],
    ...{ Tty: true, OpenStdin: true, StopSignal: "SIGKILL", HostConfig: { NetworkMode: "host", Init: true } },
  },
  exited: { Cmd: ["sh", "-c", "echo out; echo changed >/root/new; exit 3"], HostConfig: { NetworkMode: "none" } },
};

const EVENTS = ["container", "network", "volume"];

export class Questions {
  readonly #ask: Ask;
  /** Seconds since 1970: what was before is not asked about. */
  readonly #since = Math.floor(Date.now() / 1000);
  readonly #answers: Record<string, Readonly<Record<string, Answered>>> = {};

  constructor(ask: Ask) {
    this.#ask = ask;
  }

  /** @throws Error when an engine cannot be brought into a situation */
  async #do(method: string, path: string, body?: object): Promise<unknown> {
    const response = await this.#ask(method, path, body);
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return text === "" ? undefined : JSON.parse(text);
  }

  async #record(topic: string, name: string, method: string, path: string, body?: object): Promise<void> {
    this.#keep(topic, name, await answered(await this.#ask(method, path, body)));
  }

  #keep(topic: string, name: string, answer: Answered): void {
    this.#answers[topic] = { ...this.#answers[topic], [name]: answer };
  }

  async #prepare(): Promise<void> {
    await this.#record("networks", "create", "POST", "/networks/create", {
      ...{ Name: "shape", Labels: { kind: "shape" } },
      IPAM: { Config: [{ Subnet: "10.89.77.0/24", Gateway: "10.89.77.1" }] },
    });
    await this.#record("volumes", "create", "POST", "/volumes/create", { Name: "shape", Labels: { kind: "shape" } });
    for (const [name, body] of Object.entries(CONTAINERS))
      await this.#record("containers", `create of ${name}`, "POST", `/containers/create?name=shape-${name}`, {
        ...{ Image: "busybox", ...body },
      });
    for (const name of ["running", "networked", "terminal", "exited"])
      await this.#record("containers", `start of ${name}`, "POST", `/containers/shape-${name}/start`);
    await this.#record("containers", "wait", "POST", "/containers/shape-exited/wait");
    await this.#do("POST", "/containers/shape-terminal/pause");
    await this.#healthy("shape-running");
  }

  async #healthy(name: string): Promise<void> {
    const filters = JSON.stringify({ container: [name], event: ["health_status: healthy"] });
    const until = Math.floor(Date.now() / 1000) + 20;
    const events = await this.#ask(
      "GET",
      `/events?since=${this.#since}&until=${until}&filters=${encodeURIComponent(filters)}`,
    );
    const reader = events.body?.getReader();
    if ((await reader?.read())?.done !== false) throw new Error(`${name} does not become healthy`);
    await reader?.cancel();
  }

  async #containers(): Promise<void> {
    for (const name of Object.keys(CONTAINERS))
      await this.#record("containers", `inspect of ${name}`, "GET", `/containers/shape-${name}/json?size=1`);
    const looks = {
      list: "/containers/json?all=1&size=1",
      "list of those that run": "/containers/json",
      top: "/containers/shape-running/top",
      stats: "/containers/shape-running/stats?stream=0",
      "stats in one go": "/containers/shape-running/stats?stream=0&one-shot=1",
      "stats of one that does not run": "/containers/shape-created/stats?stream=0&one-shot=1",
      changes: "/containers/shape-exited/changes",
    };
    for (const [name, path] of Object.entries(looks)) await this.#record("containers", name, "GET", path);
    await this.#record("containers", "update", "POST", "/containers/shape-running/update", {
      Memory: 128 << 20,
      MemorySwap: 256 << 20,
    });
  }

  async #execs(): Promise<void> {
    const path = "/containers/shape-running/exec";
    await this.#record("execs", "create", "POST", path, { Cmd: ["true"] });
    const made = await this.#do("POST", path, { Cmd: ["sleep", "1000"], User: "bob", Tty: true });
    const id = typeof made === "object" && made !== null && "Id" in made ? String(made.Id) : "";
    await this.#record("execs", "inspect before its start", "GET", `/exec/${id}/json`);
    await this.#record("execs", "start", "POST", `/exec/${id}/start`, { Detach: true, Tty: true });
    await this.#record("execs", "inspect of a running one", "GET", `/exec/${id}/json`);
  }

  async #rest(): Promise<void> {
    const looks: Readonly<Record<string, Readonly<Record<string, string>>>> = {
      system: { version: "/version", info: "/info", "system df": "/system/df" },
      images: {
        list: "/images/json?shared-size=1",
        inspect: "/images/busybox/json",
        history: "/images/busybox/history",
      },
      networks: {
        list: "/networks",
        "inspect of the default bridge": "/networks/bridge",
        "inspect of host": "/networks/host",
        "inspect of one of its own": "/networks/shape",
      },
      volumes: { list: "/volumes", inspect: "/volumes/shape" },
    };
    for (const [topic, questions] of Object.entries(looks))
      for (const [name, path] of Object.entries(questions)) await this.#record(topic, name, "GET", path);
  }

  async #errors(): Promise<void> {
    const create = (more: object) =>
      ["POST", "/containers/create", { Image: "busybox", Cmd: ["true"], ...more }] as const;
    const wrong: Readonly<Record<string, readonly [string, string, object?]>> = {
      "image that is not there": ["POST", "/containers/create", { Image: "nothing:here", Cmd: ["true"] }],
      "name in use": ["POST", "/containers/create?name=shape-created", { Image: "busybox", Cmd: ["true"] }],
      "wrong name": ["POST", "/containers/create?name=-", { Image: "busybox", Cmd: ["true"] }],
      "memory too small": create({ HostConfig: { Memory: 1000 } }),
      "swap smaller than memory": create({ HostConfig: { Memory: 64 << 20, MemorySwap: 1 << 20 } }),
      "unknown restart policy": create({ HostConfig: { RestartPolicy: { Name: "perhaps" } } }),
      "restarts of what is removed": create({ HostConfig: { AutoRemove: true, RestartPolicy: { Name: "always" } } }),
      "wrong bind": create({ HostConfig: { Binds: ["a:b:c:d"] } }),
      "wrong capability": create({ HostConfig: { CapAdd: ["NOTHING"] } }),
      "unknown runtime": create({ HostConfig: { Runtime: "nothing" } }),
      "wrong folder": create({ WorkingDir: "relative" }),
      "unknown container": ["GET", "/containers/nobody/json"],
      "start of an unknown container": ["POST", "/containers/nobody/start"],
      "removal of a running container": ["DELETE", "/containers/shape-running"],
      "removal of a paused container": ["DELETE", "/containers/shape-terminal"],
      "rename to a name in use": ["POST", "/containers/shape-created/rename?name=shape-running"],
      "kill of one that does not run": ["POST", "/containers/shape-created/kill"],
      "wrong signal": ["POST", "/containers/shape-running/kill?signal=NOTHING"],
      "pause of one that does not run": ["POST", "/containers/shape-created/pause"],
      "pause of a paused one": ["POST", "/containers/shape-terminal/pause"],
      "unpause of a running one": ["POST", "/containers/shape-running/unpause"],
      "exec in one that does not run": ["POST", "/containers/shape-created/exec", { Cmd: ["true"] }],
      "exec in a paused one": ["POST", "/containers/shape-terminal/exec", { Cmd: ["true"] }],
      "exec of nothing": ["POST", "/containers/shape-running/exec", {}],
      "top of one that does not run": ["GET", "/containers/shape-created/top"],
      "logs of no stream": ["GET", "/containers/shape-running/logs"],
      "unknown exec": ["GET", "/exec/nothing/json"],
      "unknown image": ["GET", "/images/nothing/json"],
      "removal of an image in use": ["DELETE", "/images/busybox"],
      "unknown network": ["GET", "/networks/nothing"],
      "network name in use": ["POST", "/networks/create", { Name: "shape" }],
      "wrong subnet": ["POST", "/networks/create", { Name: "other", IPAM: { Config: [{ Subnet: "nonsense" }] } }],
      "unknown network driver": ["POST", "/networks/create", { Name: "other", Driver: "nothing" }],
      "removal of a network in use": ["DELETE", "/networks/shape"],
      "removal of a predefined network": ["DELETE", "/networks/bridge"],
      "connection to an unknown network": ["POST", "/networks/nothing/connect", { Container: "shape-running" }],
      "disconnection of a stranger": ["POST", "/networks/shape/disconnect", { Container: "shape-running" }],
      "unknown volume": ["GET", "/volumes/nothing"],
      "removal of a volume in use": ["DELETE", "/volumes/shape"],
      "unknown path": ["GET", "/nothing"],
      "wrong filter": ["GET", "/containers/json?filters=nonsense"],
      "unknown filter": ["GET", `/containers/json?filters=${encodeURIComponent('{"colour":["red"]}')}`],
      "file that is not there": ["GET", "/containers/shape-exited/archive?path=/nothing"],
      "commit of an unknown container": ["POST", "/commit?container=nobody"],
    };
    for (const [name, [method, path, body]] of Object.entries(wrong))
      await this.#record("errors", name, method, path, body);
  }

  async #events(): Promise<void> {
    await this.#do("POST", "/containers/shape-terminal/unpause");
    await this.#do("DELETE", "/containers/shape-created");
    await this.#do("POST", "/containers/shape-running/kill");
    await this.#do("POST", "/containers/shape-running/wait");
    const filters = JSON.stringify({ type: EVENTS });
    const until = Math.floor(Date.now() / 1000) + 1;
    const response = await this.#ask(
      "GET",
      `/events?since=${this.#since}&until=${until}&filters=${encodeURIComponent(filters)}`,
    );
    for (const line of (await response.text()).trim().split("\n")) {
      const event = JSON.parse(line);
      this.#keep("events", `${event.Type} ${event.Action}`.replace(/: .*/, ""), { status: 200, shape: shapeOf(event) });
    }
  }

  async #clear(): Promise<void> {
    for (const name of Object.keys(CONTAINERS)) await this.#ask("DELETE", `/containers/shape-${name}?force=1&v=1`);
    await this.#record("networks", "removal", "DELETE", "/networks/shape");
    await this.#record("volumes", "removal", "DELETE", "/volumes/shape");
    await this.#record("containers", "prune", "POST", "/containers/prune");
    await this.#record("networks", "prune", "POST", "/networks/prune");
    await this.#record("volumes", "prune", "POST", "/volumes/prune");
    await this.#record("images", "prune", "POST", "/images/prune");
  }

  async all(): Promise<Answers> {
    try {
      await this.#prepare();
      await this.#containers();
      await this.#execs();
      await this.#rest();
      await this.#errors();
      await this.#events();
    } finally {
      await this.#clear();
    }
    return this.#answers;
  }
}
