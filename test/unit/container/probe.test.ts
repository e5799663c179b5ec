import { describe, expect, test } from "bun:test";
import { Output } from "../../../src/container/probe.ts";

const frame = (text: string): Buffer => {
  const head = Buffer.alloc(8);
  head.writeUInt8(1, 0);
  head.writeUInt32BE(Buffer.byteLength(text), 4);
  return Buffer.concat([head, Buffer.from(text)]);
};

describe("Output", () => {
  test("Output gives what is in the frames, cut anywhere", () => {
    const bytes = Buffer.concat([frame("one "), frame("two")]);
    for (let cut = 0; cut <= bytes.length; cut++) {
      const output = new Output();
      output.write(bytes.subarray(0, cut));
      output.write(bytes.subarray(cut));
      expect(output.text).toBe("one two");
    }
  });

  test.each([
    [4095, 4095],
    [4096, 4096],
    [4097, 4099],
    [100_000, 4099],
  ])("Output of %d bytes is %d long", (size, length) => {
    const output = new Output();
    output.write(frame("x".repeat(size)));
    expect(output.text.length).toBe(length);
    expect(output.text.endsWith("...")).toBe(size > 4096);
  });
});
