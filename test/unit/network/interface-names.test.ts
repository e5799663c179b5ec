import { expect, test } from "bun:test";
import { isInterfaceName } from "../../../src/network/interface-names.ts";

test.each<[name: string, isOne: boolean]>([
  ["eth0", true],
  ["br-0123456789ab", true],
  ["br-0123456789abc", false],
  ["é", true],
  ["éééééééé", false], // 16 bytes
  ["eth%d", false],
  ["a/b", false],
  ["a:b", false],
  ["a b", false],
  [".", false],
  ["..", false],
  ["", false],
])("isInterfaceName(%p) is %p", (name, isOne) => {
  expect(isInterfaceName(name)).toBe(isOne);
});
