/**
 * Linear memory of one engine instance, from the bottom. An instance serves one layer and is then dropped, so nothing
 * is ever freed, and there is no garbage collector.
 *
 *      0 ┌──────────────────────┐
 *        │ constants (asc)      │
 *  INPUT ├──────────────────────┤ the host writes a chunk here; list arguments of the component are lowered here too
 *        │ 1 MiB                │
 * RESULT ├──────────────────────┤ structured results of the component
 *        │ 64 B                 │
 *  arena ├──────────────────────┤ everything else: scratch buffers, the tree, its names, the finished image
 *        │ grows, 1 GiB at most │
 *        └──────────────────────┘
 */

/** Most bytes that the host may hand over in one call. */
export const INPUT_BYTES: u32 = 1 << 20;
const PAGE: usize = 65536;

export const INPUT: usize = (__heap_base + 15) & ~15;
export const RESULT: usize = INPUT + INPUT_BYTES;
let top: usize = RESULT + 64;

/**
 * Makes sure that `bytes` can be allocated. Call it before a step with the most that the step may take; `alloc` then cannot fail.
 * @returns false when the memory's maximum is reached
 */
export function reserve(bytes: u64): bool {
  const have: u64 = <u64>memory.size() * PAGE;
  const want: u64 = <u64>top + bytes + 16;
  if (want <= have) return true;
  const pages = <i32>min<u64>((want - have + PAGE - 1) / PAGE + 64, 0x4000);
  if (memory.grow(pages) >= 0) return true;
  return memory.grow(<i32>min<u64>((want - have + PAGE - 1) / PAGE, 0x10000)) >= 0;
}

/** @returns `bytes` of zeros, aligned to 8. They must have been reserved. */
export function alloc(bytes: usize): usize {
  const at = top;
  top = (top + bytes + 7) & ~7;
  return at;
}

/** @returns a copy of `length` bytes in the arena. They must have been reserved. */
export function keep(bytes: usize, length: usize): usize {
  const at = alloc(length);
  memory.copy(at, bytes, length);
  return at;
}

/** @returns whether two byte strings are equal. */
// @ts-ignore: decorator
@inline
export function same(a: usize, aLength: usize, b: usize, bLength: usize): bool {
  return aLength == bLength && memory.compare(a, b, aLength) == 0;
}
