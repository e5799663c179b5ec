/** What goes over the wire to collectors, by their specifications. */

import { describe, expect, test } from "bun:test";
import { hostname } from "node:os";
import { gelfChunks, gelfFields, gelfMessage } from "../../../src/log/gelf-message.ts";
import { journalEntry, journalFields } from "../../../src/log/journal-entry.ts";
import { EventTime, type Packable, pack, unpackAck } from "../../../src/log/msgpack.ts";
import { Parts } from "../../../src/log/parts.ts";
import { facilityOf, formatOf } from "../../../src/log/syslog-format.ts";
import { entryOf, SUBJECT } from "../../support/log-entries.ts";

describe("pack()", () => {
  // The bytes are those of msgpack's specification.
  test.each<[value: Packable, hex: string]>([
    [0, "00"],
    [127, "7f"],
    [128, "ce00000080"],
    [4_294_967_295, "ceffffffff"],
    ["", "a0"],
    ["ä", "a2c3a4"],
    [[], "90"],
    [["a", 1], "92a16101"],
    [{}, "80"],
    [{ a: "b" }, "81a161a162"],
    [new EventTime(1, 2), "d7000000000100000002"],
  ])("pack() of %p", (value, hex) => {
    expect(pack(value).toString("hex")).toBe(hex);
  });

  test.each([
    [31, "bf"],
    [32, "d920"],
    [255, "d9ff"],
    [256, "da0100"],
    [65_535, "daffff"],
    [65_536, "db00010000"],
  ])("pack() of a text of %p bytes", (length, head) => {
    const packed = pack("x".repeat(length));
    expect(packed.toString("hex", 0, packed.length - length)).toBe(head);
  });

  test.each([
    [15, "9f"],
    [16, "dc0010"],
    [65_536, "dd00010000"],
  ])("pack() of a list of %p", (length, head) => {
    const packed = pack(new Array(length).fill(0));
    expect(packed.toString("hex", 0, packed.length - length)).toBe(head);
  });

  test.each([-1, 1.5, 2 ** 32, Number.NaN])("pack() of %p throws", (value) => {
    expect(() => pack(value)).toThrow("want a whole number of 32 bits");
  });

  test("unpackAck() takes an ack", () => {
    expect(unpackAck(pack({ ack: "p8n9gmxTQVC8/nh2wlKKeQ==" }))).toBe("p8n9gmxTQVC8/nh2wlKKeQ==");
    expect(unpackAck(Buffer.concat([Buffer.from("81a361636bd9", "hex"), Buffer.of(3), Buffer.from("abc")]))).toBe(
      "abc",
    );
  });

  test.each([
    "",
    "80",
    "81",
    "81a3",
    "81a361636b",
    "81a361636ba5616263",
    "81a361636bd9",
    "81a361636bc0",
    "82a361636ba161",
    "ffffffff",
  ])("unpackAck() of %p throws", (hex) => {
    expect(() => unpackAck(Buffer.from(hex, "hex"))).toThrow("Cannot read");
  });
});

describe("syslog", () => {
  const source = { facility: 3, tag: "web", isSecure: false };
  const host = hostname();
  const at = new Date("2024-01-02T03:04:05Z");
  const stamp = `Jan  2 ${[at.getHours(), at.getMinutes(), at.getSeconds()].map((one) => String(one).padStart(2, "0")).join(":")}`;

  test.each([
    [undefined, `<30>${stamp} web[${process.pid}]: line 7\n`],
    ["rfc3164", `<30>${stamp} ${host} web[${process.pid}]: line 7\n`],
    ["rfc5424", `<30>1 2024-01-02T03:04:05Z ${host} web ${process.pid} web - line 7\n`],
    ["rfc5424micro", `<30>1 2024-01-02T03:04:05.000007Z ${host} web ${process.pid} web - line 7\n`],
  ])("a message as %p", (format, text) => {
    expect(formatOf(format, source)(entryOf(7000)).toString()).toBe(text.replace("line 7", "line 7000"));
  });

  test("a message of stderr is an error, and its length comes first over TLS where the format is RFC 5424's", () => {
    const secure = { ...source, facility: 16, isSecure: true };
    const message = formatOf("rfc5424", secure)(entryOf(1, { stream: "stderr", line: "grün\n" })).toString();
    const [, length, rest = ""] = /^(\d+) (<131>1 .*)$/s.exec(message) ?? [];
    expect(Buffer.byteLength(rest)).toBe(Number(length));
    expect(formatOf("rfc3164", secure)(entryOf(1)).toString()).toStartWith("<134>");
  });

  test.each<[text: string | undefined, number: number]>([
    [undefined, 3],
    ["kern", 0],
    ["ftp", 11],
    ["local0", 16],
    ["local7", 23],
    ["23", 23],
  ])("facilityOf() of %p", (text, number) => {
    expect(facilityOf(text)).toBe(number);
  });

  test("what is no facility or format is refused", () => {
    for (const text of ["local8", "24", "-1", "x"]) expect(() => facilityOf(text)).toThrow("invalid syslog facility");
    for (const text of ["rfc", "toString"]) expect(() => formatOf(text, source)).toThrow("Invalid syslog format");
  });
});

describe("gelf", () => {
  test("a message has the container's fields, and the line's", () => {
    const entry = entryOf(123_456_789, { stream: "stderr", attributes: { tier: "front", _own: "x" } });
    expect(JSON.parse(gelfMessage(entry, gelfFields(SUBJECT, "t"))?.toString() ?? "")).toEqual({
      version: "1.1",
      host: hostname(),
      short_message: "line 123456789",
      timestamp: Date.parse("2024-01-02T03:04:05.123Z") / 1000,
      level: 3,
      _container_id: SUBJECT.id,
      _container_name: "web",
      _image_id: SUBJECT.imageId,
      _image_name: "nginx:1",
      _command: "nginx -g daemon off;",
      _tag: "t",
      _created: SUBJECT.created,
      _tier: "front",
      _own: "x",
    });
    expect(gelfMessage(entryOf(1, { line: "\n" }), gelfFields(SUBJECT, "t"))).toBeUndefined();
  });

  test.each([
    [1420, 1],
    [1421, 2],
    [1408 * 2, 2],
    [1408 * 2 + 1, 3],
    [1408 * 128, 128],
  ])("gelfChunks() of %p bytes", (size, count) => {
    const message = Buffer.alloc(size, "x").fill("y", size - 3);
    const chunks = gelfChunks(message) ?? [];
    expect(chunks.length).toBe(count);
    if (count === 1) return expect(chunks[0]).toEqual(message);
    for (const [number, chunk] of chunks.entries()) {
      expect(chunk.length).toBeLessThanOrEqual(1420);
      expect([...chunk.subarray(0, 2), ...chunk.subarray(10, 12)]).toEqual([0x1e, 0x0f, number, count]);
      expect(chunk.subarray(2, 10)).toEqual(chunks[0]?.subarray(2, 10) ?? Buffer.alloc(0));
    }
    expect(Buffer.concat(chunks.map((chunk) => chunk.subarray(12)))).toEqual(message);
  });

  test("gelfChunks() of more than the format allows is nothing", () => {
    expect(gelfChunks(Buffer.alloc(1408 * 128 + 1))).toBeUndefined();
  });
});

describe("journald", () => {
  const fields = journalFields(SUBJECT, "t");

  test("an entry has the container's fields, and the line's", () => {
    const entry = journalEntry(entryOf(1, { attributes: { "_com.example-team": "blue", "---": "no name" } }), fields);
    expect(entry.toString().trimEnd().split("\n")).toEqual([
      `CONTAINER_ID=${SUBJECT.id.slice(0, 12)}`,
      `CONTAINER_ID_FULL=${SUBJECT.id}`,
      "CONTAINER_NAME=web",
      "CONTAINER_TAG=t",
      "IMAGE_NAME=nginx:1",
      "SYSLOG_IDENTIFIER=t",
      "COM_EXAMPLE_TEAM=blue",
      "PRIORITY=6",
      "SYSLOG_TIMESTAMP=2024-01-02T03:04:05.000000001Z",
      "MESSAGE=line 1",
    ]);
  });

  test("a value with a newline has its length before it: nobody adds fields with a label", () => {
    const entry = journalEntry(entryOf(1, { attributes: { evil: "x\nPRIORITY=0" } }), fields).toString("latin1");
    expect(entry).toContain("EVIL\n\x0c\0\0\0\0\0\0\0x\nPRIORITY=0\nPRIORITY=6\n");
  });

  test("a part of a line says so", () => {
    expect(journalEntry(entryOf(1, { line: "par", stream: "stderr" }), fields).toString()).toContain(
      "PRIORITY=3\nSYSLOG_TIMESTAMP=2024-01-02T03:04:05.000000001Z\nCONTAINER_PARTIAL_MESSAGE=true\nMESSAGE=par\n",
    );
  });
});

describe("Parts", () => {
  test("parts of a line share an id and are counted, each stream's by themselves", () => {
    const parts = new Parts();
    const entries = [
      entryOf(1, { line: "a" }),
      entryOf(1, { line: "b", stream: "stderr" }),
      entryOf(1, { line: "b" }),
      entryOf(1, { line: "c\n" }),
      entryOf(2),
    ];
    const fieldsOf = () => parts.attempt(entries, (_, fields) => fields);
    const [a, other, b, c, whole] = fieldsOf();
    expect([a, b, c].map((part) => [part?.partial_ordinal, part?.partial_last])).toEqual([
      ["1", "false"],
      ["2", "false"],
      ["3", "true"],
    ]);
    expect(new Set([a?.partial_id, b?.partial_id, c?.partial_id]).size).toBe(1);
    expect(other?.partial_ordinal).toBe("1");
    expect(whole).toEqual({});
    expect(fieldsOf()[0]?.partial_ordinal).toBe("1"); // what was attempted did not arrive
    parts.settle();
    expect(parts.attempt([entryOf(3, { stream: "stderr" })], (_, fields) => fields)[0]?.partial_ordinal).toBe("2");
  });
});
