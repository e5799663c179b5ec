/** `--filter name=value`, given any number of times. */

/** @returns the API's JSON; undefined for none. @throws Error */
export function filterQuery(filters: readonly string[]): string | undefined {
  const values: Record<string, string[]> = {};
  for (const filter of filters) {
    const at = filter.indexOf("=");
    if (at < 1)
      throw new Error(`invalid argument "${filter}" for "--filter" flag: bad format of filter (expected name=value)`);
    // `label!=x` asks for what is without the label.
    const isNot = filter[at - 1] === "!";
    const name = isNot ? `${filter.slice(0, at - 1).trim()}!` : filter.slice(0, at).trim();
    values[name] = [...(values[name] ?? []), filter.slice(at + 1).trim()];
  }
  return filters.length > 0 ? JSON.stringify(values) : undefined;
}
