/**
 * Records on disk: one SQLite file. WAL without a sync per commit: a killed daemon loses nothing that was committed, a power cut may
 * lose the last commits but never half of one. A table has one writer, the room that owns its migration.
 */

import { type SQLQueryBindings, Database as Sqlite } from "bun:sqlite";

/** A step of the schema, applied once, in the order given. Never edit one that was released: add another. */
export interface Migration {
  readonly name: string;
  readonly sql: string;
}

export class Database {
  readonly #sqlite: Sqlite;

  /** @param path  file; `:memory:` for tests */
  constructor(path: string, migrations: readonly Migration[]) {
    this.#sqlite = new Sqlite(path, { create: true, strict: true });
    this.#sqlite.run("PRAGMA journal_mode = WAL");
    this.#sqlite.run("PRAGMA synchronous = NORMAL");
    this.#sqlite.run("PRAGMA foreign_keys = ON");
    this.#migrate(migrations);
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

  /** Runs `body` as one atomic change; a throw undoes all of it. */
  transaction<T>(body: () => T): T {
    return this.#sqlite.transaction(body)();
  }

  run(sql: string, ...bindings: SQLQueryBindings[]): void {
    this.#sqlite.query(sql).run(...bindings);
  }

  all<Row>(sql: string, ...bindings: SQLQueryBindings[]): Row[] {
    return this.#sqlite.query<Row, SQLQueryBindings[]>(sql).all(...bindings);
  }

  find<Row>(sql: string, ...bindings: SQLQueryBindings[]): Row | undefined {
    return this.#sqlite.query<Row, SQLQueryBindings[]>(sql).get(...bindings) ?? undefined;
  }

  close(): void {
    this.#sqlite.close();
  }
}
