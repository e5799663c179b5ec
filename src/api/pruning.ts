/** Prunes of every kind: one of a kind at a time, and an event when it is done. Source: Docker Engine API, SystemEvents. */

import { Exclusive } from "../base/lock.ts";
import type { Events } from "../events.ts";
import { json } from "./context.ts";

const TYPES = ["container", "image", "network", "volume"] as const;
type Prunable = (typeof TYPES)[number];

export interface Pruned {
  /** The answer. */
  readonly body: object;
  /** What the disk has got back. */
  readonly bytes: number;
}

export class Pruning {
  readonly #turns = new Map(
    TYPES.map((type) => [type, new Exclusive("a prune operation is already running")] as const),
  );

  constructor(readonly events: Pick<Events, "emit">) {}

  /** @throws conflict while another of its kind runs, or what the work fails with */
  async run(type: Prunable, work: () => Promise<Pruned>): Promise<Response> {
    using _ = this.#turns.get(type)?.hold();
    const { body, bytes } = await work();
    this.events.emit(type, "prune", "", { reclaimed: String(bytes) });
    return json(body);
  }
}
