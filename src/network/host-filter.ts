/**
 * Rules of others that drop what is on its way through the host, as dockerd and ufw have them: the policy of iptables' FORWARD. Ours cannot
 * overrule it, since every table has its say. So where the policy drops, and only there, one chain of ours stands at FORWARD's end, after the
 * rules of whoever has set it, and accepts what crosses our bridges: what may do that is decided in our own table.
 */

import { existsSync, readFileSync } from "node:fs";
import { messageOf } from "../base/errors.ts";
import { Locks } from "../base/lock.ts";
import type { Logger } from "../base/logger.ts";
import { PROGRAM_PATH, run } from "./host-programs.ts";
import type { Exchange } from "./netlink.ts";
import { type BaseChain, baseChains, HOOK_FORWARD, NFPROTO } from "./nftables.ts";

/** One of the host's filter tables: two generations of iptables, two families. */
interface Filter {
  readonly program: string;
  readonly family: number;
  /** Where the kernel lists the first generation's tables; undefined for the second. */
  readonly names: string | undefined;
}

const FILTERS: readonly Filter[] = [
  { program: "iptables-nft", family: NFPROTO.ip, names: undefined },
  { program: "ip6tables-nft", family: NFPROTO.ip6, names: undefined },
  { program: "iptables-legacy", family: NFPROTO.ip, names: "/proc/net/ip_tables_names" },
  { program: "ip6tables-legacy", family: NFPROTO.ip6, names: "/proc/net/ip6_tables_names" },
];

export interface HostFilterOptions {
  /** Of our chain. */
  readonly chain: string;
  /** Of our own nftables table. */
  readonly table: string;
  readonly exchange: Exchange;
  readonly log: Logger;
}

export class HostFilter {
  readonly #options: HostFilterOptions;
  readonly #locks = new Locks();
  /** The bridges that are let through, by program; a daemon before this one may have left some. */
  readonly #let = new Map<string, string>();

  constructor(options: HostFilterOptions) {
    this.#options = options;
  }

  /** Lets through what crosses these, where that is needed, and no longer where it is not. Never throws: other traffic is not to suffer. */
  async let(bridges: readonly string[]): Promise<void> {
    await using _ = await this.#locks.acquire("let");
    for (const filter of FILTERS)
      await this.#apply(filter, bridges).catch((error) =>
        this.#options.log.warn("the host's firewall may drop what containers send", {
          program: filter.program,
          error: messageOf(error),
        }),
      );
  }

  async #apply(filter: Filter, bridges: readonly string[]): Promise<void> {
    const { program } = filter;
    const { chain, log } = this.#options;
    const rules = await this.#forwardRules(filter);
    const isDropping = rules.includes("-P FORWARD DROP");
    const jump = `-A FORWARD -j ${chain}`;
    if (!isDropping || bridges.length === 0) {
      if (rules.includes(jump)) await this.#remove(program);
      this.#let.delete(program);
      return;
    }
    if (rules.includes(jump) && this.#let.get(program) === bridges.join()) return;
    await run([`${program}-restore`, "--noflush", "--wait"], this.#script(bridges, !rules.includes(jump)));
    if (!this.#let.has(program)) log.info("the host drops what it forwards: our bridges are let through", { program });
    this.#let.set(program, bridges.join());
  }

  #script(bridges: readonly string[], isNew: boolean): string {
    const { chain } = this.#options;
    const accepts = bridges.flatMap((bridge) => [
      `-A ${chain} -i ${bridge} -j ACCEPT`,
      `-A ${chain} -o ${bridge} -j ACCEPT`,
    ]);
    const lines = ["*filter", `:${chain} - [0:0]`, ...accepts, ...(isNew ? [`-A FORWARD -j ${chain}`] : []), "COMMIT"];
    return `${lines.join("\n")}\n`;
  }

  /** Those of FORWARD, as iptables prints them; none without the table, which asking would make. */
  async #forwardRules({ program, family, names }: Filter): Promise<readonly string[]> {
    if (!Bun.which(program, { PATH: PROGRAM_PATH })) return [];
    const isThere = names
      ? existsSync(names) && readFileSync(names, "utf8").split("\n").includes("filter")
      : this.#chains(family).some(({ table, name }) => table === "filter" && name === "FORWARD");
    return isThere ? (await run([program, "--wait", "-S", "FORWARD"])).split("\n") : [];
  }

  #chains(family = 0): readonly BaseChain[] {
    return baseChains(this.#options.exchange, family);
  }

  async #remove(program: string): Promise<void> {
    const { chain } = this.#options;
    await run(
      [`${program}-restore`, "--noflush", "--wait"],
      `*filter\n-D FORWARD -j ${chain}\n-F ${chain}\n-X ${chain}\nCOMMIT\n`,
    );
  }

  /** Chains of others that drop what is forwarded and that we do not touch, as `inet firewalld filter_FORWARD`. */
  strangers(): readonly string[] {
    return this.#chains()
      .filter(
        ({ hook, drops, table, family }) =>
          hook === HOOK_FORWARD && drops && table !== this.#options.table && !isIptables(table, family),
      )
      .map(({ family, table, name }) => `${FAMILY_NAMES.get(family) ?? family} ${table} ${name}`);
  }
}

const FAMILY_NAMES = new Map(Object.entries(NFPROTO).map(([name, number]) => [number as number, name]));

/** Where `let` helps, if there is the program. */
const isIptables = (table: string, family: number): boolean =>
  table === "filter" &&
  FILTERS.some(
    ({ program, names, family: own }) =>
      own === family && !names && Bun.which(program, { PATH: PROGRAM_PATH }) !== null,
  );
