/** The daemon's own runtime and those that it was told of: a plan says which it is for, a task's folder which it was. */

import type { Plan } from "./ops.ts";
import type { Runtime, Task } from "./runtime.ts";

export class Runtimes implements Runtime {
  /** @param own  for plans that name none */
  constructor(
    readonly own: Runtime,
    readonly others: Runtime,
  ) {}

  create(id: string, plan: Plan): Promise<Task> {
    return (plan[0]?.[0] === "oci-runtime" ? this.others : this.own).create(id, plan);
  }

  async find(id: string): Promise<Task | undefined> {
    return (await this.others.find(id)) ?? (await this.own.find(id));
  }

  list(): Promise<readonly string[]> {
    return this.own.list();
  }

  run(plan: Plan): Promise<void> {
    return this.own.run(plan);
  }
}
