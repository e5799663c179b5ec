/** WebSocket's frames: RFC 6455's examples, at every point where their bytes may be parted, and what must not come. */

import { describe, expect, test } from "bun:test";
import { Deframer } from "../../../src/api/deframed.ts";
import { frame } from "../../../src/api/frames.ts";
import { closeFrame, FrameReader, frameHead, OPCODE } from "../../../src/api/websocket-frames.ts";
import { clientFrame } from "../../support/websocket.ts";

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(" ", ""), "hex");

/** @returns all data, and what else there was */
function read(reader: FrameReader, pieces: readonly Buffer[]): { data: string; others: string[] } {
  const parts = pieces.flatMap((piece) => reader.push(piece));
  const text = (kind: string) => parts.flatMap((part) => (part.kind === kind ? [part.bytes.toString("latin1")] : []));
  return {
    data: text("data").join(""),
    others: [...text("ping").map((each) => `ping ${each}`), ...text("close").map((each) => `close ${each}`)],
  };
}

const STREAM = Buffer.concat([
  hex("81 85 37 fa 21 3d 7f 9f 4d 51 58"), // "Hello", masked: RFC 6455, 5.7
  clientFrame(OPCODE.binary, Buffer.from("first "), { isFinal: false }),
  clientFrame(OPCODE.ping, Buffer.from("beat")),
  clientFrame(OPCODE.continuation, Buffer.alloc(300, "x")),
  clientFrame(OPCODE.binary, Buffer.alloc(0)),
  clientFrame(OPCODE.ping, Buffer.alloc(0)),
  clientFrame(OPCODE.pong, Buffer.from("unasked")),
  clientFrame(OPCODE.close, hex("03e8")),
]);
const CONTENT = { data: `Hellofirst ${"x".repeat(300)}`, others: ["ping beat", "ping ", "close \x03\xe8"] };

describe("FrameReader", () => {
  test("push() gives the same wherever its input is parted", () => {
    for (let at = 0; at <= STREAM.length; at++)
      expect(read(new FrameReader(), [STREAM.subarray(0, at), STREAM.subarray(at)])).toEqual(CONTENT);
    expect(
      read(
        new FrameReader(),
        [...STREAM].map((byte) => Buffer.of(byte)),
      ),
    ).toEqual(CONTENT);
  });

  test("push() gives a large message's bytes as they come, and holds none", () => {
    const reader = new FrameReader();
    const head = Buffer.concat([hex("82 ff 7f ff ff ff ff ff ff ff"), Buffer.alloc(4)]); // 2^63 - 1 bytes
    expect(reader.push(head)).toEqual([]);
    for (const text of ["a", "bc"])
      expect(reader.push(Buffer.from(text))).toEqual([{ kind: "data", bytes: Buffer.from(text) }]);
  });

  test.each([
    ["no mask", "81 05 48 65 6c 6c 6f", "not masked"],
    ["a reserved bit", "c1 80 00 00 00 00", "reserved bits"],
    ["an opcode that is none", "83 80 00 00 00 00", "unknown opcode 3"],
    ["a control frame in parts", "09 80 00 00 00 00", "control frame"],
    ["a control frame that is long", "89 fe 00 7e 00 00 00 00", "control frame"],
    ["nothing to continue", "80 80 00 00 00 00", "nothing is to be continued"],
    ["a message within another", "01 80 00 00 00 00 81 80 00 00 00 00", "begins within another"],
    ["a negative length", "82 ff ff ff ff ff ff ff ff ff 00 00 00 00", "negative"],
  ])("push() refuses %s", (_, bytes, words) => {
    expect(() => new FrameReader().push(hex(bytes))).toThrow(words);
    expect(() => {
      const reader = new FrameReader();
      for (const byte of hex(bytes)) reader.push(Buffer.of(byte));
    }).toThrow(words);
  });
});

test.each([
  [0, "82 00"],
  [125, "82 7d"],
  [126, "82 7e 00 7e"],
  [65_535, "82 7e ff ff"],
  [65_536, "82 7f 00 00 00 00 00 01 00 00"],
])("frameHead() of %p bytes", (length, bytes) => {
  expect(frameHead(OPCODE.binary, length)).toEqual(hex(bytes));
});

test("closeFrame() cuts a reason that is too long", () => {
  expect(closeFrame(1000)).toEqual(hex("88 02 03 e8"));
  expect(closeFrame(1011, "x".repeat(1000)).length).toBe(127);
});

test("Deframer gives the payloads wherever its input is parted", () => {
  const bytes = Buffer.concat([frame(1, Buffer.from("one")), frame(2, Buffer.alloc(0)), frame(2, Buffer.from("two"))]);
  for (let at = 0; at <= bytes.length; at++) {
    const deframer = new Deframer();
    const parts = [bytes.subarray(0, at), bytes.subarray(at)].flatMap((part) => deframer.push(part));
    expect(Buffer.concat(parts).toString()).toBe("onetwo");
  }
});
