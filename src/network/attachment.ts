/** What somebody asked about a container's place in a network; stays with the container, whether it runs or not. */

export interface Attachment {
  /** Of the network. */
  readonly network: string;
  /** Empty for any that is free. So is IPv6's. */
  readonly address: string;
  readonly address6: string;
  readonly linkLocal: readonly string[];
  /** Empty for one that follows from the address. */
  readonly macAddress: string;
  /** Further names in this network. */
  readonly aliases: readonly string[];
  /** `container:alias`, names for this container only. */
  readonly links: readonly string[];
  readonly driverOptions: Readonly<Record<string, string>>;
  /** Of several networks with a gateway, the one with the highest number is the way out. */
  readonly gatewayPriority: number;
}

/** @param network  name */
export const plainAttachment = (network: string): Attachment => ({
  network,
  ...{ address: "", address6: "", linkLocal: [], macAddress: "", aliases: [], links: [] },
  driverOptions: {},
  gatewayPriority: 0,
});
