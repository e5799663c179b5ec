/** Networks without anything of their own: `host` (the host's interfaces) and `none` (only a loopback). */

import type { NetworkDriver, WayOut } from "./driver.ts";

export class HostDriver implements NetworkDriver {
  readonly hasAddresses = false;
  readonly hasMacs = false;

  /** @param name  `host` or `null`, as Docker calls the driver of `none` */
  constructor(readonly name: "host" | "null") {}

  check(): void {}
  async ensure(): Promise<void> {}
  async remove(): Promise<void> {}
  async connect(): Promise<void> {}
  adopt(): void {}
  async disconnect(): Promise<void> {}
  async release(): Promise<void> {}
  sweep(): void {}

  leaves(): WayOut {
    return "nowhere";
  }

  needsGateway(): boolean {
    return false;
  }

  interfaces(): readonly string[] {
    return [];
  }

  async mend(): Promise<undefined> {}
}
