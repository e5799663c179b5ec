/** Bundles with busybox in them, and runtimes that take them: ours, and those of others that judge what a test expects. */

import { copyFileSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { rmdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { buildShim } from "../../shim/shim.build.ts";
import { exampleConfig } from "../../src/oci-runtime/spec.ts";
import { openCgroups } from "../../src/runtime/cgroup.ts";
import { onAbort } from "./abort.ts";
import { makeFolder } from "./folder.ts";
import { cgroupsBelow } from "./leftovers.ts";

await buildShim();

export const OWN_RUNTIME = join(import.meta.dir, "..", "..", "src", "oci-runtime", "bosun-runtime");

/** Ours first. `runc` agrees with what the tests say, where it is installed. */
export const RUNTIMES: readonly (readonly [name: string, program: string])[] = [
  ["bosun-runtime", OWN_RUNTIME],
  ...["runc"].flatMap((name) => {
    const program = Bun.which(name, { PATH: `${process.env.PATH}:/usr/sbin` });
    return program === null ? [] : [[name, program] as const];
  }),
];

const APPLETS =
  "cat chmod echo env grep head hostname id ls mkdir mount ps pwd readlink rm sh sleep stat stty touch tty umount wc";

export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Parts of a configuration that replace or extend the standard ones; members of `process` and `linux` one by one. */
export interface ConfigParts {
  readonly process?: object;
  readonly linux?: object;
  readonly mounts?: readonly object[];
  readonly [name: string]: unknown;
}

export interface Bundle extends AsyncDisposable {
  readonly path: string;
  readonly rootfs: string;
  /** For `run` and the others: a container's id that nobody else has. */
  readonly id: string;
  /** Writes config.json: a shell script, with what is said of it. */
  configure(script: string, parts?: ConfigParts): void;
  /** @param words  of the runtime's command line, after `--root` */
  call(...words: readonly string[]): Promise<Ran>;
  /** … without waiting for its output to end, which a container holds. */
  spawn(...words: readonly string[]): Bun.Subprocess<"ignore", "pipe", "pipe">;
  /** create and start; @returns what reads the container's output to its end */
  start(): Promise<() => Promise<string>>;
  state(): Promise<Readonly<Record<string, unknown>>>;
}

function makeRoot(root: string): void {
  for (const name of ["bin", "proc", "sys", "dev", "tmp", "etc", "root", "srv/inner"])
    mkdirSync(join(root, name), { recursive: true });
  copyFileSync("/bin/busybox", join(root, "bin/busybox"));
  for (const name of APPLETS.split(" ")) symlinkSync("busybox", join(root, "bin", name));
  writeFileSync(join(root, "etc/passwd"), "root:x:0:0:root:/root:/bin/sh\nbob:x:1000:1001:Bob:/home/bob:/bin/sh\n");
  writeFileSync(join(root, "srv/inner/file"), "of the image\n");
}

interface Example {
  readonly process: object;
  readonly linux: object;
  readonly mounts: readonly object[];
}

const isExample = (value: object): value is Example => "process" in value && "linux" in value && "mounts" in value;

/** Nothing that the machine may not have. */
function configOf(
  script: string,
  cgroup: string,
  { process = {}, linux = {}, mounts = [], ...parts }: ConfigParts,
): object {
  const example = exampleConfig();
  if (!isExample(example)) throw new Error("the example is none");
  return {
    ...example,
    ociVersion: "1.0.2",
    root: { path: "rootfs" },
    process: {
      ...example.process,
      terminal: false,
      args: ["sh", "-c", script],
      env: ["PATH=/bin"],
      rlimits: [],
      noNewPrivileges: false,
      ...process,
    },
    linux: { ...example.linux, cgroupsPath: cgroup, ...linux },
    mounts: [...example.mounts, ...mounts],
    ...parts,
  };
}

let count = 0;

export async function makeBundle(program: string = OWN_RUNTIME): Promise<Bundle> {
  const folder = await makeFolder();
  const id = `test-${process.pid}-${count++}`;
  const rootfs = join(folder.path, "rootfs");
  makeRoot(rootfs);
  const words = ["--root", join(folder.path, "state")];
  const spawn: Bundle["spawn"] = (...more) =>
    Bun.spawn([program, ...words, ...more], { cwd: folder.path, stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const call: Bundle["call"] = async (...more) => {
    const child = spawn(...more);
    const [stdout, stderr, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
    return { code, stdout, stderr };
  };
  const bundle: Bundle = {
    path: folder.path,
    rootfs,
    id,
    configure: (script, parts = {}) =>
      writeFileSync(join(folder.path, "config.json"), JSON.stringify(configOf(script, `/bosun-test-oci/${id}`, parts))),
    call,
    spawn,
    async start() {
      const creating = spawn("create", id);
      if ((await creating.exited) !== 0) throw new Error(`create: ${await creating.stderr.text()}`);
      const { code, stderr } = await call("start", id);
      if (code !== 0) throw new Error(`start: ${stderr}`);
      return () => creating.stdout.text();
    },
    state: async () => JSON.parse((await call("state", id)).stdout),
    async [Symbol.asyncDispose]() {
      const { stdout } = await call("list", "-q");
      for (const left of stdout.split("\n").filter(Boolean)) await call("delete", "--force", left);
      await removeParent();
      await folder[Symbol.asyncDispose]();
      settled();
    },
  };
  const settled = onAbort(() => bundle[Symbol.asyncDispose]());
  return bundle;
}

/** The cgroup of all bundles, unless another's are in it: it is not removed with what it contains. */
async function removeParent(): Promise<void> {
  for (const entrance of await openCgroups().entrances("/bosun-test-oci"))
    await rmdir(dirname(entrance)).catch(() => {});
}

/** Names of cgroups that bundles of this process have left. */
export const leftCgroups = async (): Promise<string[]> =>
  (await cgroupsBelow("/bosun-test-oci")).filter((name) => name.startsWith(`test-${process.pid}-`));
