/**
 * `idmap` of a bind: its files have other owners in the container than on disk. Pure. Spelt as Podman and crun do it:
 * `idmap=uids=0-1000-10#20-2000-5;gids=0-1000-10`, each range the first id on disk, the first that it is seen as, and how many.
 * Source: podman-run(1), "--volume", idmap.
 */

import { invalid } from "../base/errors.ts";
import type { IdRange } from "../runtime/ops.ts";

export interface IdMaps {
  readonly uids: readonly IdRange[];
  readonly gids: readonly IdRange[];
}

const MOST_ID = 0xffff_fffe;
/** Ranges of a map. Source: user_namespaces(7). */
const MOST_RANGES = 340;

function rangeOf(text: string): IdRange {
  // relative to the container's user namespace (@), which is the host's, is the same
  const [, inside, outside, length] = /^@?(\d+)-(\d+)-(\d+)$/.exec(text) ?? [];
  const range = { inside: Number(inside), outside: Number(outside), length: Number(length) };
  const isRange = range.length > 0 && Math.max(range.inside, range.outside) + range.length - 1 <= MOST_ID;
  if (!isRange) throw invalid(`invalid idmap range ${JSON.stringify(text)}: want FROM-TO-COUNT`);
  return range;
}

const rangesOf = (text: string): readonly IdRange[] => text.split("#").map(rangeOf);

/** @param text  `uids=…;gids=…`, or one of them, which is then meant for both. @throws invalid */
export function parseIdMaps(text: string): IdMaps {
  if (text === "")
    throw invalid(
      "idmap without a mapping is that of the container's user namespace, which is the host's: want idmap=uids=…;gids=…",
    );
  const given = new Map<string, readonly IdRange[]>();
  for (const part of text.split(/[;#](?=[ug]ids=)/)) {
    const [, name = "", ranges = ""] = /^([ug]ids)=(.+)$/s.exec(part) ?? [];
    if (name === "" || given.has(name)) throw invalid(`invalid idmap ${JSON.stringify(text)}: want uids=…;gids=…`);
    given.set(name, rangesOf(ranges));
  }
  const [uids = [], gids = []] = [given.get("uids") ?? given.get("gids"), given.get("gids") ?? given.get("uids")];
  if (Math.max(uids.length, gids.length) > MOST_RANGES) throw invalid(`invalid idmap: more than ${MOST_RANGES} ranges`);
  return { uids, gids };
}
