/** Networks without anything of their own: `host` (the host's interfaces) and `none` (only a loopback). */

import { newId } from "../base/ids.ts";
import type { Endpoint, NetworkDriver, NetworkInfo } from "./driver.ts";

export class HostDriver implements NetworkDriver {
  /** @param name  `host` or `null`, as Docker calls the driver of `none` */
  constructor(
    readonly name: "host" | "null",
    readonly networkId: string,
  ) {}

  async ensure(): Promise<void> {}

  info(): NetworkInfo {
    return { subnet: "", gateway: "", options: {} };
  }

  reserve(): Endpoint {
    return { id: newId(), networkId: this.networkId, address: "", prefix: 0, gateway: "", macAddress: "" };
  }

  adopt(): void {}

  async connect(): Promise<void> {}

  async release(): Promise<void> {}
}
