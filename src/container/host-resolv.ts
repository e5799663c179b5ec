/** The host's resolv.conf, which containers' own follow. */

import { type FSWatcher, readFileSync, realpathSync, watch } from "node:fs";
import { basename, dirname } from "node:path";
import { parseResolv, type Resolver } from "./etc-files.ts";

export class HostResolv implements Disposable {
  readonly #watchers: FSWatcher[] = [];
  #text: string;

  constructor(readonly path = "/etc/resolv.conf") {
    this.#text = this.#read();
  }

  #read(): string {
    try {
      return readFileSync(this.path, "utf8");
    } catch {
      return ""; // a host without one asks nobody
    }
  }

  /** As it is now; empty when there is none. */
  text(): string {
    this.#text = this.#read();
    return this.#text;
  }

  resolver(): Resolver {
    return parseResolv(this.text());
  }

  /** Programs put a new file in its place, or change what it is a link to: so folders are watched. Until it is disposed of. */
  follow(onChange: () => void): void {
    for (const path of new Set([this.path, this.#target()])) {
      const name = basename(path);
      try {
        const watcher = watch(dirname(path), { persistent: false }, (_, changed) => {
          if (changed === name && this.#text !== this.text()) onChange();
        });
        watcher.on("error", () => watcher.close()); // the folder is gone, and the file with it
        this.#watchers.push(watcher);
      } catch {
        // there is no such folder, and so nothing to follow
      }
    }
  }

  #target(): string {
    try {
      return realpathSync(this.path);
    } catch {
      return this.path;
    }
  }

  [Symbol.dispose](): void {
    for (const watcher of this.#watchers.splice(0)) watcher.close();
  }
}
