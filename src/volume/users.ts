/** Who uses what, both ways. */

export class Users {
  readonly #byName = new Map<string, Set<string>>();

  add(name: string, user: string): void {
    const users = this.#byName.get(name) ?? new Set();
    this.#byName.set(name, users.add(user));
  }

  of(name: string): readonly string[] {
    return [...(this.#byName.get(name) ?? [])];
  }

  /** Names that somebody uses. */
  names(): ReadonlySet<string> {
    return new Set(this.#byName.keys());
  }

  /** Somebody uses nothing any more. @returns what it used */
  drop(user: string): readonly string[] {
    const used = [...this.#byName].flatMap(([name, users]) => (users.delete(user) ? [name] : []));
    for (const name of used) if (this.of(name).length === 0) this.#byName.delete(name);
    return used;
  }
}
