/**
 * `npm test`: every suite, a line each, and a summary. A suite that this machine cannot run says why; one that fails is shown whole.
 */

import { existsSync, readdirSync, statfsSync } from "node:fs";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import { installMissing } from "../src/setup.ts";

interface Suite {
  readonly name: string;
  /** Needs mounts, namespaces and cgroups. */
  readonly root: boolean;
}

const SUITES: readonly Suite[] = [
  { name: "unit", root: false },
  { name: "api", root: false },
  { name: "wasm", root: false },
  { name: "hostile", root: true },
  { name: "suite", root: true },
  { name: "shim", root: true },
  { name: "e2e", root: true },
];

/** What the tests judge by: programs that we did not write, and the Debian packages that have them. */
const JUDGES: Readonly<Record<string, string>> = {
  "docker-registry": "docker-registry",
  "fsck.erofs": "erofs-utils",
  setcap: "libcap2-bin",
  setfattr: "attr",
  htpasswd: "apache2-utils",
  skopeo: "skopeo",
  openssl: "openssl",
  ip: "iproute2",
  busybox: "busybox-static",
  zstd: "zstd",
  xz: "xz-utils",
  bzip2: "bzip2",
  python3: "python3",
  script: "bsdutils",
  curl: "curl",
  "mkfs.btrfs": "btrfs-progs",
  runc: "runc",
  "docker-compose": "docker-compose",
};

const here = import.meta.dir;
const isRoot = process.getuid?.() === 0;

interface Outcome {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

const count = (output: string, word: string): number =>
  Number(new RegExp(`^\\s*(\\d+) ${word}$`, "m").exec(output)?.[1] ?? 0);

/** More files than this that fail are no accident. */
const UNSTEADY_FILES = 3;

/** In statfs(2). */
const TMPFS = 0x01021994;

/** Where tests make their folders. Layers as EROFS files need a disk, which /tmp is not everywhere. */
const disk = (): string => process.env.TMPDIR ?? (statfsSync(tmpdir()).type === TMPFS ? "/var/tmp" : tmpdir());

/** With these somebody ends us. */
const ENDS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

interface Run extends Outcome {
  readonly output: string;
}

/** @param what  paths of files or folders */
async function runTests(what: readonly string[]): Promise<Run> {
  const child = Bun.spawn([process.execPath, "test", "--timeout", "120000", ...what], {
    cwd: join(here, ".."),
    env: { ...process.env, TMPDIR: disk() },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const forward = (signal: NodeJS.Signals) => child.kill(signal); // it takes away what it has made, and ends
  for (const signal of ENDS) process.on(signal, forward);
  const [out, err, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  for (const signal of ENDS) process.off(signal, forward);
  if (ENDS.some((signal) => code === 128 + constants.signals[signal])) process.exit(code);
  const output = `${out}\n${err}`;
  const failed = count(output, "fail");
  return {
    output,
    passed: count(output, "pass"),
    failed: code === 0 ? failed : Math.max(1, failed), // a suite that dies has failed, whatever it counted
    skipped: count(output, "skip"),
  };
}

/** The files of which a test failed. `bun test` prints a file's name above its tests, and those that failed once more below all. */
function failedFiles(output: string): string[] {
  const files = new Set<string>();
  let file: string | undefined;
  for (const line of output.split("\n")) {
    if (/^\d+ tests? failed:$/.test(line)) break;
    file = /^(test\/\S+\.test\.ts):$/.exec(line)?.[1] ?? file;
    if (line.startsWith("(fail)") && file) files.add(`./${file}`);
  }
  return [...files];
}

/** The same, but a few files that failed are run once more, alone: a machine under load has moments that no test foresees. What that hides is told. */
async function runSuite({ name }: Suite): Promise<Outcome> {
  const started = performance.now();
  let outcome = await runTests([`./test/${name}`]);
  if (outcome.failed > 0) {
    console.log(outcome.output);
    const files = failedFiles(outcome.output);
    if (files.length > 0 && files.length <= UNSTEADY_FILES) outcome = await again(outcome, files);
  }
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(
    `${name.padEnd(9)} ${outcome.passed} passed, ${outcome.failed} failed, ${outcome.skipped} skipped   (${seconds} s)`,
  );
  return outcome;
}

async function again(first: Run, files: readonly string[]): Promise<Run> {
  const second = await runTests(files);
  if (second.failed > 0) {
    console.log(second.output);
    return first;
  }
  console.log(`UNSTEADY  ${first.failed} of ${files.join(", ")} failed, and passed when run again`);
  return { ...first, passed: first.passed + first.failed, failed: 0 };
}

const hasTests = ({ name }: Suite): boolean => {
  const folder = join(here, name);
  return (
    existsSync(folder) && readdirSync(folder, { recursive: true }).some((file) => String(file).endsWith(".test.ts"))
  );
};

/** @param wanted  names of suites; all of them when empty */
async function main(wanted: readonly string[]): Promise<number> {
  const missing = await installMissing(JUDGES);
  if (missing.length > 0) console.log(`Some tests will be skipped: ${missing.join(", ")} cannot be installed`);
  const total = { passed: 0, failed: 0, skipped: 0 };
  for (const suite of SUITES.filter(({ name }) => wanted.length === 0 || wanted.includes(name))) {
    if (!hasTests(suite)) continue;
    if (suite.root && !isRoot) {
      console.log(`${suite.name.padEnd(9)} skipped: it mounts and makes namespaces, which needs root`);
      continue;
    }
    const { passed, failed, skipped } = await runSuite(suite);
    total.passed += passed;
    total.failed += failed;
    total.skipped += skipped;
  }
  console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
  return total.failed === 0 && total.passed > 0 ? 0 : 1;
}

process.exit(await main(process.argv.slice(2)));
