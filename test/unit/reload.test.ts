/** What SIGHUP finds changed. */

import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Fields, Logger } from "../../src/base/logger.ts";
import { parseConfig } from "../../src/config.ts";
import { reload } from "../../src/reload.ts";
import { makeFolder } from "../support/folder.ts";

/** @returns what is told when the second file is read by a daemon that has read the first */
async function told(first: string, second: string): Promise<readonly string[]> {
  await using folder = await makeFolder();
  const path = join(folder.path, "daemon.json");
  const argv = ["--config-file", path, "--mtu", "1400"];
  writeFileSync(path, first);
  const { given } = parseConfig(argv);
  writeFileSync(path, second);
  const lines: string[] = [];
  const at =
    (level: string) =>
    (_: string, fields: Fields = {}) =>
      void lines.push(`${level} ${fields.options ?? ""}`.trim());
  const log: Logger = { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
  reload(argv, given, log);
  return lines;
}

test.each<[first: string, second: string, told: string]>([
  ['{"debug":true}', '{"debug":true}', "info"],
  ["{}", '{"debug":true,"labels":["a=b"]}', "warn debug,label"],
  ['{"labels":["a=b"]}', '{"labels":["a=c"]}', "warn label"],
  ['{"init":true}', "{}", "warn init"],
  ["{}", '{"debug":', "error"],
  ["{}", '{"colour":"red"}', "error"],
])("reload() of %s that is %s now", async (first, second, line) => {
  expect(await told(first, second)).toEqual([line]);
});
