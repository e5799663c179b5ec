/** Platforms in queries: `os/arch/variant` as old parameters have it, an OCI platform in JSON as those since API 1.47 do. */

import { invalid } from "../base/errors.ts";
import { isObject } from "../base/objects.ts";
import type { Platform } from "../base/oci.ts";
import { parsePlatform } from "../image/platform.ts";

/** @throws invalid */
export function platformOf(text: string): Platform {
  if (!text.startsWith("{")) return parsePlatform(text);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw invalid("failed to parse platform");
  }
  const { os, architecture, variant } = isObject(value) ? value : {};
  if (typeof os !== "string" || typeof architecture !== "string" || os === "" || architecture === "")
    throw invalid("both OS and Architecture must be provided");
  return parsePlatform(
    [os, architecture, ...(typeof variant === "string" && variant !== "" ? [variant] : [])].join("/"),
  );
}

/** @param text  a query parameter; absent and empty are the same */
export const optionalPlatform = (text: string | undefined): Platform | undefined =>
  text === undefined || text === "" ? undefined : platformOf(text);
