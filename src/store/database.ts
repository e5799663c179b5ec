/**
 * Records on disk: one SQLite file. WAL without a sync per commit: a killed daemon loses nothing that was committed, a power cut may
 * lose the last commits but never half of one. A table has one writer, the room that owns its migration.
 */

import { SQLiteError, type SQLQueryBindings, Database as Sqlite } from "bun:sqlite";
import { rmSync, statSync, writeFileSync } from "node:fs";
import { unavailable } from "../base/errors.ts";

/** A step of the schema, applied once, in the order given. Never edit one that was released: add another. */
export interface Migration {
  readonly name: string;
  readonly sql: string;
}

export class Database {
  readonly #sqlite: Sqlite;
  readonly #reserve: Reserve;

  /** @param path  file; `:memory:` for tests. @throws unavailable when the disk is full, as whatever writes */
  constructor(
    readonly path: string,
    migrations: readonly Migration[],
  ) {
    this.#reserve = new Reserve(path === ":memory:" ? undefined : `${path}-reserve`);
    this.#sqlite = this.#writing(() => opened(path));
    this.#migrate(migrations);
  }

  /** Whoever frees space has to write down first what goes. @param act  happens a second time when the disk was full */
  #writing<T>(act: () => T): T {
    try {
      const result = act();
      this.#reserve.refill();
      return result;
    } catch (error) {
      if (!isFull(error)) throw error;
      if (this.#reserve.release()) return this.#writing(act);
      throw unavailable(`Cannot write ${this.path}: no space left on device`, { cause: error });
    }
  }

  #migrate(migrations: readonly Migration[]): void {
    this.#sqlite.run("CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY) STRICT");
    const done = new Set(this.all<{ name: string }>("SELECT name FROM migrations").map((row) => row.name));
    for (const { name, sql } of migrations.filter((migration) => !done.has(migration.name)))
      this.transaction(() => {
        this.#sqlite.run(sql);
        this.run("INSERT INTO migrations (name) VALUES (?)", name);
      });
  }

  /** Runs `body` as one atomic change; a throw undoes all of it. `body` changes nothing else, for it may run twice. */
  transaction<T>(body: () => T): T {
    return this.#writing(this.#sqlite.transaction(body));
  }

  run(sql: string, ...bindings: SQLQueryBindings[]): void {
    const act = (): unknown => this.#sqlite.query(sql).run(...bindings);
    // Inside a transaction it is the whole that has to be done again.
    if (this.#sqlite.inTransaction) act();
    else this.#writing(act);
  }

  all<Row>(sql: string, ...bindings: SQLQueryBindings[]): Row[] {
    return this.#sqlite.query<Row, SQLQueryBindings[]>(sql).all(...bindings);
  }

  find<Row>(sql: string, ...bindings: SQLQueryBindings[]): Row | undefined {
    return this.#sqlite.query<Row, SQLQueryBindings[]>(sql).get(...bindings) ?? undefined;
  }

  /** @returns what SQLite finds wrong with the file; nothing, hopefully. Takes as long as reading all of it. */
  problems(): readonly string[] {
    const damage = this.all<{ integrity_check: string }>("PRAGMA integrity_check(20)").map(
      (row) => row.integrity_check,
    );
    const strays = this.all<{ table: string; parent: string }>("PRAGMA foreign_key_check");
    return [
      ...damage.filter((line) => line !== "ok"),
      ...strays.map(({ table, parent }) => `a row of ${table} names one of ${parent} that is not there`),
    ];
  }

  close(): void {
    this.#sqlite.close();
  }
}

function opened(path: string): Sqlite {
  const sqlite = new Sqlite(path, { create: true, strict: true });
  sqlite.run("PRAGMA journal_mode = WAL");
  sqlite.run("PRAGMA synchronous = NORMAL");
  sqlite.run("PRAGMA foreign_keys = ON");
  return sqlite;
}

/** The second is that of the index of the log, which is a file of its own. Source: sqlite.org/rescode.html. */
const isFull = (error: unknown): boolean =>
  error instanceof SQLiteError && ["SQLITE_FULL", "SQLITE_IOERR_SHMSIZE"].includes(error.code ?? "");

/** What the log grows to before SQLite begins it anew: 1,000 pages. Source: sqlite.org/pragma.html, wal_autocheckpoint. */
const RESERVE_BYTES = 4 << 20;
/** It is tried again to set space aside, but not at every write. */
const REFILL_PAUSE_MS = 1000;

/** Space that is set aside while there is some, for writing down what goes when there is none. */
class Reserve {
  #isFilled = false;
  /** When it was emptied, or the last time that filling failed; ms. */
  #since = 0;

  constructor(readonly path: string | undefined) {}

  refill(): void {
    if (this.path === undefined || this.#isFilled || Date.now() - this.#since < REFILL_PAUSE_MS) return;
    try {
      if (statSync(this.path, { throwIfNoEntry: false })?.size !== RESERVE_BYTES)
        writeFileSync(this.path, Buffer.alloc(RESERVE_BYTES), { mode: 0o600 });
      this.#isFilled = true;
    } catch {
      this.release(); // not now, then
    }
  }

  /** @returns whether there was any */
  release(): boolean {
    this.#isFilled = false;
    this.#since = Date.now();
    if (this.path === undefined || !statSync(this.path, { throwIfNoEntry: false })) return false;
    rmSync(this.path);
    return true;
  }
}
