/** Graylog's extended log format. Pure. Source: GELF Payload Specification 1.1, "GELF via UDP", "Chunking". */

import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import { type LogEntry, type LogSubject, timeNs } from "./driver.ts";

const LEVEL = { stdout: 6, stderr: 3 } as const;

/** Milliseconds of a time, as seconds. */
const secondsOf = (time: string): number => Number(timeNs(time) / 1_000_000n) / 1000;

/** What is the same in all of a container's messages. */
export type GelfFields = Readonly<Record<string, string>>;

export const gelfFields = ({ id, name, image, imageId, command, created }: LogSubject, tag: string): GelfFields => ({
  _container_id: id,
  _container_name: name,
  _image_id: imageId,
  _image_name: image,
  _command: command.join(" "),
  _tag: tag,
  _created: created,
});

/** @returns undefined for an empty line, which the format has no message for */
export function gelfMessage({ stream, time, line, attributes = {} }: LogEntry, fields: GelfFields): Buffer | undefined {
  const text = line.replace(/\n$/, "");
  if (text === "") return undefined;
  const extra = Object.entries(attributes).map(([name, value]) => [name.startsWith("_") ? name : `_${name}`, value]);
  const message = {
    version: "1.1",
    host: hostname(),
    short_message: text,
    timestamp: secondsOf(time),
    level: LEVEL[stream],
    ...fields,
    ...Object.fromEntries(extra),
  };
  return Buffer.from(JSON.stringify(message));
}

/** Bytes of a datagram that no path on a usual network takes apart. */
const DATAGRAM = 1420;
const HEAD = 12;
const MOST_CHUNKS = 128;

/**
 * 0x1e 0x0f, an id of 8 bytes, number and count, a byte each, and then a piece of the message.
 * @returns datagrams; one that is the message itself when it fits; undefined when it would take more than the format allows
 */
export function gelfChunks(message: Buffer): readonly Buffer[] | undefined {
  if (message.length <= DATAGRAM) return [message];
  const room = DATAGRAM - HEAD;
  const count = Math.ceil(message.length / room);
  if (count > MOST_CHUNKS) return undefined;
  const id = randomBytes(8);
  return Array.from({ length: count }, (_, number) =>
    Buffer.concat([
      Buffer.of(0x1e, 0x0f),
      id,
      Buffer.of(number, count),
      message.subarray(number * room, (number + 1) * room),
    ]),
  );
}
