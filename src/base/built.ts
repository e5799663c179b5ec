/** Where the parts that are not TypeScript are built to, by shim/shim.build.ts and wasm/layer.build.ts. */

import { join } from "node:path";

/** @returns the absolute path of a product, as `bosun-shim` */
export const builtFile = (name: string): string => join(import.meta.dir, "..", "..", "build", name);
