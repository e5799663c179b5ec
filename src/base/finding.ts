/** What a check of the stores tells. */

/** Something that is not as it should be, and what can be done about it. */
export interface Problem {
  readonly what: "database" | "blob" | "layer" | "image" | "snapshot" | "container" | "task" | "cgroup" | "mount";
  readonly name: string;
  /** In words that follow the name, as `nobody needs it`. */
  readonly detail: string;
  /** Absent when nothing can be done. @returns what was done, in words; @throws when it could not */
  readonly repair?: () => Promise<string>;
}

/** Looks at one room's things. Slow ones yield as they go. */
export type Check = (options: { readonly full: boolean }) => AsyncIterable<Problem>;
