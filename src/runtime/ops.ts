/** A plan: what the shim does, as a flat list of named kernel operations. All of them: shim/PROTOCOL.md. */

/** One kernel action by name, its arguments as text (no NUL). */
export type Op = readonly [name: string, ...args: string[]];

export type Plan = readonly Op[];
