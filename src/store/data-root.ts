/** Whose a data root is: one daemon's at a time, and one engine's for as long as it lasts. */

import { closeSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { unavailable } from "../base/errors.ts";
import { lockFile } from "../base/files.ts";
import { newId } from "../base/ids.ts";
import type { Database, Migration } from "./database.ts";

/** Made when missing. The kernel lets go of the lock when the process ends, however it ends. @throws unavailable when another daemon has it */
export function lockDataRoot(dataRoot: string): Disposable {
  mkdirSync(dataRoot, { recursive: true, mode: 0o711 });
  const fd = lockFile(join(dataRoot, "lock"));
  if (fd === undefined) throw unavailable(`another daemon uses the data root ${dataRoot}`);
  return { [Symbol.dispose]: () => closeSync(fd) };
}

export const engineMigrations: readonly Migration[] = [
  { name: "engine-1", sql: "CREATE TABLE engine (id TEXT PRIMARY KEY) STRICT" },
];

/** An identity that stays with the data root. */
export function engineId(database: Database): string {
  const known = database.find<{ id: string }>("SELECT id FROM engine");
  if (known) return known.id;
  const id = newId();
  database.run("INSERT INTO engine (id) VALUES (?)", id);
  return id;
}
