/** A tree on its way through the layer engine: walked, and told as items of a tar or as changes. */

import { failureOf } from "./fault.ts";
import { type Core, openCore } from "./module.ts";
import { type TreePlace, Walk } from "./walk.ts";

/** `tree`: a tar of everything. `layer`: a tar of what differs from the base. `changes`: a list of that. */
export type PackMode = "tree" | "layer" | "changes";

export interface PackOptions extends TreePlace {
  /**
   * Absolute paths that count as nothing where they are empty and the base has nothing: mount points. Directories that hold nothing else
   * do not count either.
   */
  readonly except?: readonly string[] | undefined;
  /** What the first component of every path is called in the tar. Makes sense with `only`. */
  readonly rename?: string | undefined;
}

const MODES: Readonly<Record<PackMode, number>> = { tree: 0, layer: 1, changes: 2 };

export class Packer implements Disposable {
  readonly #core: Core;
  readonly #walk: Walk;
  #ended = false;

  private constructor(core: Core, walk: Walk) {
    this.#core = core;
    this.#walk = walk;
  }

  /** @throws SystemError when the tree cannot be opened */
  static async open(mode: PackMode, options: PackOptions): Promise<Packer> {
    const core = await openCore();
    const except = Buffer.from((options.except ?? []).map((path) => `${path.replace(/^\/+/, "")}\0`).join(""));
    const name = Buffer.from(options.rename ?? "");
    new Uint8Array(core.memory.buffer, core.input()).set(Buffer.concat([except, name]));
    const packer = new Packer(core, new Walk(options));
    packer.#check(core.packBegin(MODES[mode], options.whole === true ? 1 : 0, except.length, name.length));
    return packer;
  }

  /**
   * @returns what comes next, in the engine's memory: use it before the next call; undefined at the end. Layout: wasm/tar-item.ts
   * @throws  corrupt for a tree that a tar cannot hold, SystemError
   */
  next(): Uint8Array | undefined {
    if (this.#ended) return undefined;
    const core = this.#core;
    const size = this.#walk.next(new Uint8Array(core.memory.buffer, core.input(), core.inputBytes()));
    this.#ended = size === 0;
    this.#check(this.#ended ? core.packFinish() : core.packWrite(size));
    return new Uint8Array(core.memory.buffer, core.packOutput(), core.packOutputBytes());
  }

  /** Bytes of the tar that `next` has told of, files' contents included. */
  get tarBytes(): number {
    return Number(this.#core.packTarBytes());
  }

  #check(fault: number): void {
    if (fault !== 0) throw failureOf(this.#core, fault, (place) => `pack the tree${place}`);
  }

  [Symbol.dispose](): void {
    this.#walk[Symbol.dispose]();
  }
}
