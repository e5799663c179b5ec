import { expect, test } from "bun:test";
import { parseFlags, type Specs } from "../../../src/cli/flags.ts";
import { CHANGEABLE_FLAGS, changeableOf, LIMIT_FLAGS, limitsOf } from "../../../src/cli/limits.ts";

/** A value that every flag of its name takes. */
const sampleOf = (name: string): string => (/^device-(read|write)|-device$/.test(name) ? "/dev/null:100" : "100");

const set = (body: object): readonly string[] =>
  Object.entries(body).flatMap(([key, value]) =>
    value === undefined || value === false || (Array.isArray(value) && value.length === 0) ? [] : [key],
  );

test.each<[name: string, specs: Specs, read: typeof limitsOf]>([
  ["limitsOf", LIMIT_FLAGS, limitsOf],
  ["changeableOf", CHANGEABLE_FLAGS, changeableOf],
])("%s() says what each of its flags says, and nothing else", (_, specs, read) => {
  for (const [name, { kind }] of Object.entries(specs)) {
    const word = kind === "bool" ? `--${name}` : `--${name}=${sampleOf(name)}`;
    expect([name, set(read(parseFlags([word], specs))).length]).toEqual([name, 1]);
  }
  expect(set(read(parseFlags([], specs)))).toEqual([]);
});

test("limitsOf() reads sizes, rates and parts of processors", () => {
  const words = ["-m", "64m", "--memory-swap=-1", "--cpus", "1.5", "--device-read-bps", "/dev/sda:1mb"];
  expect(limitsOf(parseFlags(words, LIMIT_FLAGS))).toMatchObject({
    Memory: 64 * 2 ** 20,
    MemorySwap: -1,
    NanoCpus: 1.5e9,
    BlkioDeviceReadBps: [{ Path: "/dev/sda", Rate: 2 ** 20 }],
  });
  expect(() => limitsOf(parseFlags(["--device-read-bps=sda:1"], LIMIT_FLAGS))).toThrow("bad format for path: sda:1");
});
