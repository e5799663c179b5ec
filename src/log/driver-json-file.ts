/** Docker's json-file log, which other tools read as well. */

import { invalid } from "../base/errors.ts";
import { ATTRIBUTE_OPTIONS, attributesOf, tagOf } from "./attributes.ts";
import type { LogDriver, LogSubject, LogTarget } from "./driver.ts";
import { boolOption, bytesOption, type LogOptions, ownOptions, refuseUnknown } from "./options.ts";
import { read } from "./read.ts";

/** Docker's own default is a log that grows until the disk is full; `max-size=-1` asks for that. Bytes. */
const DEFAULT_SIZE = 100 << 20;
const DEFAULT_FILES = 3;

function target(path: string, options: LogOptions, subject: LogSubject): LogTarget {
  const own = ownOptions(options);
  refuseUnknown("json-file", own, ["max-size", "max-file", "compress", ...ATTRIBUTE_OPTIONS]);
  const rotation = rotationOf(own);
  const compress = boolOption("compress", own.compress, false);
  if (compress && (rotation.maxFiles < 2 || rotation.maxSize === 0))
    throw invalid("compress cannot be true when max-file is less than 2 or max-size is not set");
  const attributes = { ...attributesOf(own, subject), ...(own.tag && { tag: tagOf(own.tag, subject) }) };
  return { path, ...rotation, compress, ...(Object.keys(attributes).length > 0 && { attributes }) };
}

function rotationOf(options: LogOptions): Pick<LogTarget, "maxSize" | "maxFiles"> {
  const size = options["max-size"];
  if (size === undefined && options["max-file"] === undefined)
    return { maxSize: DEFAULT_SIZE, maxFiles: DEFAULT_FILES };
  const files = options["max-file"] ?? "1";
  if (!/^([1-9]\d{0,3}|10000)$/.test(files))
    throw invalid(`invalid value for log option max-file: ${JSON.stringify(files)}`);
  return {
    maxSize: size === undefined ? DEFAULT_SIZE : size === "-1" ? 0 : bytesOption("max-size", size),
    maxFiles: Number(files),
  };
}

export const jsonFileLog: LogDriver = {
  name: "json-file",
  file: (id) => `${id}-json.log`,
  isPublic: true,
  target,
  read,
};
