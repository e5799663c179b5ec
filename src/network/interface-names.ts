/**
 * A name that the kernel takes as it is: up to 15 bytes, and nothing in it that means a path, an alias or the next free number.
 * Source: Linux, net/core/dev.c, dev_valid_name() and dev_alloc_name().
 */
export const isInterfaceName = (text: string): boolean =>
  /^(?!\.\.?$)[^\s/:%]+$/.test(text) && Buffer.byteLength(text) <= 15;
