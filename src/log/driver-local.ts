/**
 * Docker's `local` log: bounded and compressed unless it is told otherwise. How Docker's lies on the disk is for Docker alone to know; ours is
 * the same lines of JSON as of any other log here.
 */

import { invalid } from "../base/errors.ts";
import { ATTRIBUTE_OPTIONS, attributesOf, tagOf } from "./attributes.ts";
import type { LogDriver, LogSubject, LogTarget } from "./driver.ts";
import { boolOption, bytesOption, countOption, type LogOptions, ownOptions, refuseUnknown } from "./options.ts";
import { read } from "./read.ts";

/** Bytes. */
const DEFAULT_SIZE = "20m";
const DEFAULT_FILES = 5;
/** What the shim takes. */
const MOST_FILES = 10_000;

/** @param prefix  of the options' names. @throws invalid in Docker's words */
export function localRotation(options: LogOptions, prefix = ""): Pick<LogTarget, "maxSize" | "maxFiles" | "compress"> {
  const [size, files, compressed] = [`${prefix}max-size`, `${prefix}max-file`, `${prefix}compress`];
  const compress = boolOption(compressed, options[compressed], true);
  const maxFiles = countOption(files, options[files], DEFAULT_FILES);
  if (maxFiles > MOST_FILES) throw invalid(`invalid value for log option ${files}: "${maxFiles}"`);
  if (compress && maxFiles <= 1) throw invalid("compression cannot be enabled when max file count is 1");
  return { maxSize: bytesOption(size, options[size] ?? DEFAULT_SIZE), maxFiles: Math.max(1, maxFiles), compress };
}

function target(path: string, options: LogOptions, subject: LogSubject): LogTarget {
  const own = ownOptions(options);
  refuseUnknown("local", own, ["max-size", "max-file", "compress", ...ATTRIBUTE_OPTIONS]);
  const attributes = { ...attributesOf(own, subject), ...(own.tag && { tag: tagOf(own.tag, subject) }) };
  return { path, ...localRotation(own), ...(Object.keys(attributes).length > 0 && { attributes }) };
}

export const localLog: LogDriver = { name: "local", file: () => "local.log", isPublic: false, target, read };
