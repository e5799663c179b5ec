/** A volume plugin of the test's own, as Docker's documentation has them: directories, and a count of who has mounted what. */

import { chmodSync, existsSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";

type Request = Readonly<Record<string, unknown>>;

export class VolumePlugin implements Disposable {
  /** As `Mount box`. */
  readonly calls: string[] = [];
  /** By volume, ids. */
  readonly mounts = new Map<string, Set<string>>();
  readonly volumes = new Map<string, Readonly<Record<string, unknown>>>();
  /** Answers in place of the plugin, where it gives an answer. */
  misbehave: (method: string) => Response | Promise<Response> | undefined = () => undefined;
  readonly #server: { stop(force: boolean): unknown };

  /** @param socket  where it listens. @param root  holds a directory for each volume */
  constructor(
    socket: string,
    readonly root: string,
  ) {
    mkdirSync(root, { recursive: true });
    rmSync(socket, { force: true });
    this.#server = Bun.serve({ unix: socket, fetch: (request) => this.#serve(request) });
  }

  async #serve(request: globalThis.Request): Promise<Response> {
    const method = new URL(request.url).pathname.replace("/VolumeDriver.", "").replace("/Plugin.", "");
    const body: unknown = await request.json();
    const asked: Request = Object(body);
    this.calls.push(`${method} ${String(asked.Name ?? "")}`.trim());
    return (await this.misbehave(method)) ?? Response.json(this.#answer(method, asked));
  }

  path = (name: string): string => join(this.root, name);

  #answer(method: string, asked: Request): Request {
    const name = String(asked.Name ?? "");
    const known = this.volumes.has(name);
    const users = this.mounts.get(name) ?? new Set();
    const volume = (each: string) => ({
      Name: each,
      Mountpoint: this.path(each),
      Status: { mounts: this.mounts.get(each)?.size ?? 0 },
    });
    if (method === "Activate") return { Implements: ["VolumeDriver"] };
    if (method === "Capabilities") return { Capabilities: { Scope: "global" } };
    if (method === "List") return { Volumes: [...this.volumes.keys()].map(volume) };
    if (method === "Create") return this.#create(name, Object(asked.Opts));
    if (!known) return { Err: `no such volume here: ${name}` };
    if (method === "Get") return { Volume: volume(name) };
    if (method === "Mount") this.mounts.set(name, users.add(String(asked.ID)));
    if (method === "Mount" || method === "Path") return { Mountpoint: this.path(name) };
    if (method === "Unmount") return users.delete(String(asked.ID)) ? {} : { Err: `not mounted: ${name}` };
    return this.#remove(name, users);
  }

  #create(name: string, options: Request): Request {
    if ("refuse" in options) return { Err: `refused: ${String(options.refuse)}` };
    this.volumes.set(name, options);
    if (existsSync(this.path(name))) return {};
    mkdirSync(this.path(name));
    chmodSync(this.path(name), 0o755);
    return {};
  }

  #remove(name: string, users: ReadonlySet<string>): Request {
    if (users.size > 0) return { Err: `in use: ${name}` };
    this.volumes.delete(name);
    rmSync(this.path(name), { recursive: true, force: true });
    return {};
  }

  [Symbol.dispose](): void {
    this.#server.stop(true);
  }
}
