/**
 * What all drivers have in common that send a log on: it is written to a bounded file first, as any other log, from which it can be read and from
 * which a forwarder sends it on. So nobody waits for a collector, and what a daemon that dies has not sent is sent by the next one.
 */

import { ATTRIBUTE_OPTIONS, attributesOf, tagOf } from "./attributes.ts";
import type { LogDriver, LogSubject } from "./driver.ts";
import { localRotation } from "./driver-local.ts";
import { noReading } from "./driver-none.ts";
import { boolOption, type LogOptions, ownOptions, refuseUnknown } from "./options.ts";
import { read } from "./read.ts";
import type { LogSink } from "./sink.ts";

export interface Remote {
  readonly name: string;
  /** Its own options. */
  readonly options: readonly string[];
  /** Connects nothing yet. @param tag  what `tag` makes of the container. @throws invalid */
  readonly sink: (options: LogOptions, subject: LogSubject, tag: string) => LogSink;
}

export function remoteLog({ name, options: known, sink }: Remote): LogDriver {
  const sinkOf = (options: LogOptions, subject: LogSubject): LogSink => {
    const own = ownOptions(options);
    refuseUnknown(name, own, [...known, ...ATTRIBUTE_OPTIONS]);
    return sink(own, subject, tagOf(own.tag, subject));
  };
  return {
    name,
    file: () => "cached.log",
    isPublic: false,
    target: (path, options, subject) => {
      sinkOf(options, subject); // says what is wrong with them
      const attributes = attributesOf(options, subject);
      return { path, ...localRotation(options, "cache-"), numbered: true, ...(attributes && { attributes }) };
    },
    // The file is kept in any case, for the forwarder; it is as small as its options say.
    read: (path, asked, options = {}) =>
      boolOption("cache-disabled", options["cache-disabled"]?.toLowerCase(), false) ? noReading() : read(path, asked),
    sink: sinkOf,
  };
}
