/**
 * Loaded into a daemon by `--preload`: on SIGUSR2 it collects its garbage, counts what is left and writes the number to the file that HEAP_FILE names. What a process
 * takes of the machine says little: its collector takes its time.
 */

import { heapStats } from "bun:jsc";
import { renameSync, writeFileSync } from "node:fs";

const file = process.env.HEAP_FILE;
if (file)
  process.on("SIGUSR2", () => {
    Bun.gc(true);
    writeFileSync(`${file}.new`, String(heapStats().objectCount));
    renameSync(`${file}.new`, file);
  });
