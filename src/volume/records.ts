/** Volumes as they are remembered: in memory for reading, and a row each in the database. */

import type { Database, Migration } from "../store/database.ts";
import type { VolumeOptions } from "./driver.ts";

export const volumeMigrations: readonly Migration[] = [
  { name: "volume-1", sql: "CREATE TABLE volumes (name TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT" },
];

export interface Volume {
  readonly name: string;
  readonly driver: string;
  /** ISO 8601. */
  readonly created: string;
  readonly options: VolumeOptions;
  readonly labels: Readonly<Record<string, string>>;
  /** Nobody named it. */
  readonly anonymous: boolean;
  /** The container that it was made for, until that is on record. */
  readonly pendingFor?: string;
}

export class VolumeRecords {
  readonly #byName = new Map<string, Volume>();

  constructor(readonly database: Database) {
    for (const { record } of database.all<{ record: string }>("SELECT record FROM volumes")) {
      const volume: Volume = JSON.parse(record); // written by this file only
      this.#byName.set(volume.name, volume);
    }
  }

  all(): readonly Volume[] {
    return [...this.#byName.values()];
  }

  find(name: string): Volume | undefined {
    return this.#byName.get(name);
  }

  save(volume: Volume): void {
    this.database.run(
      "INSERT INTO volumes (name, record) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET record = ?2",
      volume.name,
      JSON.stringify(volume),
    );
    this.#byName.set(volume.name, volume);
  }

  remove(name: string): void {
    this.database.run("DELETE FROM volumes WHERE name = ?", name);
    this.#byName.delete(name);
  }
}
