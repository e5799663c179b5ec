/** Work side by side that is undone as one. */

/**
 * As Promise.all, but settles only when all of it has: whoever undoes the work after a failure meets none of it half-way.
 * @throws the first failure
 */
export async function together<T extends readonly unknown[]>(
  ...work: { readonly [K in keyof T]: Promise<T[K]> | T[K] }
): Promise<{ -readonly [K in keyof T]: Awaited<T[K]> }> {
  await Promise.allSettled(work);
  return Promise.all(work);
}
