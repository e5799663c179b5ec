/** Values that came from outside, as JSON. */

/** @returns whether a value is an object with members: no null, no array. */
export const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
