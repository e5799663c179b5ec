import { expect, test } from "bun:test";
import { signalNumber } from "../../../src/runtime/signals.ts";

test.each([
  ["SIGTERM", 15],
  ["term", 15],
  ["9", 9],
  ["SIGCHLD", 17],
  ["CLD", 17],
  ["RTMIN", 34],
  ["SIGRTMIN+3", 37],
  ["RTMAX-14", 50],
  ["SIGRTMAX", 64],
])("signalNumber() reads %s", (text, number) => {
  expect(signalNumber(text)).toBe(number);
});

test.each(["", "0", "65", "SIGX", "RTMIN-1", "RTMAX+1", "RTMIN+40", "-9"])("signalNumber() refuses %j", (text) => {
  expect(() => signalNumber(text)).toThrow(`invalid signal: ${text}`);
});
