/** Libraries of the host that make things faster where they are installed. */

/** @returns what `load` opens, at the first call and ever after; undefined when it is not there */
export function optionalLibrary<T>(load: () => T): () => T | undefined {
  let known: { readonly library: T | undefined } | undefined;
  const tryLoad = (): T | undefined => {
    try {
      return load();
    } catch {
      return undefined;
    }
  };
  return () => {
    known ??= { library: tryLoad() };
    return known.library;
  };
}
