/**
 * What becomes of our rules and interfaces when somebody else changes the host's: firewalld that reloads, `nft flush ruleset`, `ip link del`.
 * The kernel tells of it, and what is missing is set again.
 */

import { messageOf } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";
import type { Endpoints } from "./endpoints.ts";
import type { Firewall } from "./firewall.ts";
import { troubledLink } from "./netlink.ts";
import { type Answer, answers } from "./netlink-message.ts";
import { changedChain, removedFrom } from "./nftables.ts";

/** Changes come in bursts: it is looked after them when they have been silent for so long. */
const SILENCE_MS = 20;
/** But no later than this after the first of them. */
const PATIENCE_MS = 200;

/** Calls `work` after bursts of calls, one at a time. */
class Burst {
  #timer: Timer | undefined;
  #since = 0;
  #running: Promise<void> | undefined;
  #again = false;

  constructor(readonly work: () => Promise<void>) {}

  add(): void {
    if (this.#timer === undefined) this.#since = Date.now();
    clearTimeout(this.#timer);
    const wait = Math.max(0, Math.min(SILENCE_MS, this.#since + PATIENCE_MS - Date.now()));
    this.#timer = setTimeout(() => this.#run(), wait);
    this.#timer.unref();
  }

  #run(): void {
    this.#timer = undefined;
    if (this.#running) {
      this.#again = true;
      return;
    }
    this.#running = this.work().finally(() => {
      this.#running = undefined;
      if (this.#again) this.add();
      this.#again = false;
    });
  }

  /** Returns when nothing is under way. */
  async end(): Promise<void> {
    clearTimeout(this.#timer);
    this.#again = false;
    await this.#running;
  }
}

/** Hears changes from the kernel until it is disposed of. @param onLost  some were lost */
export type Watch = (onMessages: (messages: Uint8Array) => void, onLost: () => void) => Disposable;

export interface GuardOptions {
  readonly firewall: Firewall;
  readonly endpoints: Endpoints;
  readonly watchRules: Watch;
  readonly watchLinks: Watch;
  readonly log: Logger;
}

export class Guard implements AsyncDisposable {
  readonly #options: GuardOptions;
  readonly #watches: readonly Disposable[];
  readonly #rules = new Burst(() => this.#mendRules());
  readonly #links = new Burst(() => this.#mendLinks());
  #touched = new Set<string>();

  /** @throws SystemError */
  constructor(options: GuardOptions) {
    this.#options = options;
    const { firewall, endpoints, watchRules, watchLinks } = options;
    const everything = () => {
      for (const network of endpoints.networks.list())
        for (const name of endpoints.interfaces(network)) this.#touched.add(name);
      this.#links.add();
    };
    this.#watches = [
      watchLinks((messages) => this.#hearLinks(messages), everything),
      ...(firewall.enabled
        ? [
            watchRules(
              (messages) => this.#hearRules(messages),
              () => this.#rules.add(),
            ),
          ]
        : []),
    ];
  }

  /** Ours that are gone, and others' that drop. */
  #hearRules(messages: Uint8Array): void {
    const { table } = this.#options.firewall;
    const concerns = (answer: Answer) =>
      removedFrom(answer)?.table === table || (changedChain(answer) ?? removedFrom(answer))?.table === "filter";
    if ([...answers(messages)].some(concerns)) this.#rules.add();
  }

  #hearLinks(messages: Uint8Array): void {
    for (const answer of answers(messages)) {
      const name = troubledLink(answer);
      if (name === undefined) continue;
      this.#touched.add(name);
      this.#links.add();
    }
  }

  async #mendRules(): Promise<void> {
    const { firewall, log } = this.#options;
    try {
      const missing = await firewall.mend();
      if (missing.length > 0)
        log.warn("somebody removed firewall rules: they are set again", { missing: missing.join() });
    } catch (error) {
      log.error("cannot set firewall rules again", { error: messageOf(error) });
    }
  }

  async #mendLinks(): Promise<void> {
    const { endpoints, log } = this.#options;
    const touched = this.#touched;
    this.#touched = new Set();
    try {
      for (const network of await endpoints.mend(touched))
        log.warn("somebody changed interfaces of a network: they are mended", { network });
    } catch (error) {
      log.error("cannot mend a network", { interfaces: [...touched].join(), error: messageOf(error) });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const watch of this.#watches) watch[Symbol.dispose]();
    await Promise.all([this.#rules.end(), this.#links.end()]);
  }
}
