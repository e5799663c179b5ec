/**
 * Port: where a volume's files are.
 *
 * A *volume* is a directory that outlives containers. It is created before its first use and removed after its last; between, it is mounted for
 * whoever uses it: `mount` makes its files appear at `path`, `unmount` takes them away again. A driver keeps no count of users and no records:
 * volumes.ts does. Names are checked by volumes.ts, too: `[a-zA-Z0-9][a-zA-Z0-9_.-]+`.
 */

/** A driver's own options, as of `--opt`. */
export type VolumeOptions = Readonly<Record<string, string>>;

/** What a driver tells of a volume when it is asked. */
export interface VolumeFacts {
  /** As `VolumeDriver.path`; empty where that is not known. */
  readonly path: string;
  /** Whether it is the same volume on all hosts. */
  readonly scope: "local" | "global";
  /** Whatever the driver has to say. */
  readonly status?: Readonly<Record<string, unknown>>;
}

export interface VolumeDriver {
  /** As users name it: `local`. */
  readonly name: string;

  /** @throws invalid for options that it does not know, or that do not go together; nothing is made */
  check(options: VolumeOptions): void;

  /** Idempotent: an existing one keeps its files. @throws unavailable when the disk is full */
  create(name: string, options: VolumeOptions): Promise<void>;

  /** The directory that is bound into containers, absolute. It need not be there before `mount`, nor known. */
  path(name: string): string;

  /** Makes the files appear at `path`. Idempotent. @throws invalid when it cannot be, in words for the user */
  mount(name: string, options: VolumeOptions): Promise<void>;

  /** Idempotent; the files stay where they are kept. */
  unmount(name: string): Promise<void>;

  /**
   * Puts first files into a volume, if it is empty. They appear all at once where the volume is a directory that nobody has `mounted`.
   * @param write  gets an empty directory; it may give that another owner and mode
   */
  fill(
    name: string,
    options: VolumeOptions,
    mounted: boolean,
    write: (directory: string) => Promise<void>,
  ): Promise<void>;

  /**
   * Removes the volume with its files: out of sight at once, so that a crash leaves nothing half removed under its name. Idempotent.
   * @throws conflict while it is mounted
   */
  remove(name: string): Promise<void>;

  /** What its files take, as Docker counts. @returns undefined when that is elsewhere: on a server, in a directory of somebody else's */
  usage(name: string, options: VolumeOptions): Promise<{ readonly bytes: number } | undefined>;

  /** @throws unavailable when whoever knows does not answer */
  describe(name: string): Promise<VolumeFacts>;

  /** At start: finishes removals that a crash cut short, and unmounts what nobody uses. @param used  names that stay mounted */
  sweep(used: ReadonlySet<string>): Promise<void>;
}
