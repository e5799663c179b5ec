/** A runtime of its own, a root with busybox in it, and plans for containers from it. Gone with `await using`, also when the test fails. */

import { copyFile, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { buildShim } from "../../shim/shim.build.ts";
import { builtFile } from "../../src/base/built.ts";
import type { Op, Plan } from "../../src/runtime/ops.ts";
import * as op from "../../src/runtime/ops.ts";
import type { Exit, Runtime, Task } from "../../src/runtime/runtime.ts";
import { ShimRuntime } from "../../src/runtime/runtime-shim.ts";
import { onAbort } from "./abort.ts";
import { makeFolder } from "./folder.ts";

await buildShim();

const PASSWD = `root:x:0:0:root:/root:/bin/sh
bob:x:1000:1001:Bob:/home/bob:/bin/sh
broken
twice:x:1500:1500::/first:/bin/sh
twice:x:1501:1501::/second:/bin/sh
`;
const GROUP = `root:x:0:
staff:x:50:bob,ann
wheel:x:51:ann,bob
boxes:x:1001:
`;

const { CLONE, MS, S_IF } = op;
const device = (path: string, major: number, minor: number): Op =>
  op.mknod(path, { mode: S_IF.chr | 0o666, major, minor });

export interface PlanOptions {
  readonly stdio?: Op;
  /** On the host's side. */
  readonly before?: readonly Op[];
  /** Once the root is mounted, before `pivot`. */
  readonly inside?: readonly Op[];
  /** After `pivot`. */
  readonly after?: readonly Op[];
  readonly env?: readonly string[];
}

export interface Result extends Pick<Exit, "code" | "signal"> {
  readonly stdout: string;
  readonly stderr: string;
}

export interface Box extends AsyncDisposable {
  readonly path: string;
  readonly runRoot: string;
  /** The tree that all containers see; writes go elsewhere. */
  readonly root: string;
  readonly runtime: Runtime;
  /** A container with the usual mounts that runs `command`. */
  plan(command: readonly [string, ...string[]], options?: PlanOptions): Plan;
  /** … to its end, with a script of busybox's shell. */
  run(script: string, options?: PlanOptions): Promise<Result>;
}

/** Docker's 8-byte frames, apart. @returns the bytes of each stream */
export function unframe(bytes: Buffer): { stdout: Buffer; stderr: Buffer } {
  const parts: [Buffer[], Buffer[]] = [[], []];
  for (let at = 0; at < bytes.length; ) {
    const size = bytes.readUInt32BE(at + 4);
    parts[bytes.readUInt8(at) === 2 ? 1 : 0].push(bytes.subarray(at + 8, at + 8 + size));
    at += 8 + size;
  }
  return { stdout: Buffer.concat(parts[0]), stderr: Buffer.concat(parts[1]) };
}

export async function readAll(stream: Duplex): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** Runs a task that was created to its end. */
export async function finish(task: Task): Promise<Result> {
  const stream = await task.attach({ stdin: false, stdout: true, stderr: true });
  const output = readAll(stream);
  await task.go();
  const { code, signal } = await task.exited;
  const { stdout, stderr } = unframe(await output);
  await task.delete();
  return { code, ...(signal === undefined ? {} : { signal }), stdout: stdout.toString(), stderr: stderr.toString() };
}

async function makeRoot(root: string): Promise<void> {
  for (const name of ["bin", "proc", "sys", "dev", "tmp", "etc", "root"])
    await mkdir(join(root, name), { recursive: true });
  await copyFile("/bin/busybox", join(root, "bin", "busybox"));
  await writeFile(join(root, "etc", "passwd"), PASSWD);
  await writeFile(join(root, "etc", "group"), GROUP);
}

/** Pids of the shims that run in `runRoot`, as the kernel lists them. */
export async function shimsOf(runRoot: string): Promise<number[]> {
  const names = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const pids = await Promise.all(
    names.map(async (name) => {
      const line = await readFile(`/proc/${name}/cmdline`, "utf8").catch(() => "");
      return line.startsWith("bosun-shim\0run\0") && line.includes(`${runRoot}/`) ? [Number(name)] : [];
    }),
  );
  return pids.flat();
}

async function endTasks(runtime: Runtime): Promise<void> {
  for (const id of [...(await runtime.list())].reverse()) {
    const task = await runtime.find(id);
    await task?.kill(9).catch(() => {}); // it has ended
    await task?.exited;
    await task?.delete(); // another runtime has more than a run directory
  }
}

/** Another runtime on the box's shims, and what its plans begin with. */
export interface OtherRuntime {
  readonly open: (shims: ShimRuntime, path: string) => Runtime;
  readonly first: readonly Op[];
}

export async function makeBox(other?: OtherRuntime): Promise<Box> {
  const folder = await makeFolder();
  const [root, runRoot] = [join(folder.path, "root"), join(folder.path, "run")];
  await makeRoot(root);
  const shims = new ShimRuntime({ runRoot, program: builtFile("bosun-shim") });
  const runtime = other?.open(shims, folder.path) ?? shims;
  let count = 0;
  const plan: Box["plan"] = (command, { stdio, before = [], inside = [], after = [], env = ["PATH=/bin"] } = {}) => {
    const upper = join(folder.path, "upper", String(count++));
    return [
      ...(other?.first ?? []),
      stdio ?? op.stdio("pipe"),
      ...before,
      op.mkdir(`${upper}/diff`),
      op.mkdir(`${upper}/work`),
      op.clone(CLONE.newNs | CLONE.newUts | CLONE.newIpc | CLONE.newPid | CLONE.newNet),
      op.propagation(MS.rec | MS.slave),
      op.overlay(`${upper}/root`, { lower: [root], upper: `${upper}/diff`, work: `${upper}/work` }),
      op.root(`${upper}/root`),
      op.mount("proc", "proc", "/proc", MS.nosuid | MS.nodev | MS.noexec),
      op.mount("tmpfs", "tmpfs", "/dev", MS.nosuid, "mode=755,size=65536k"),
      op.mount("devpts", "devpts", "/dev/pts", MS.nosuid | MS.noexec, "newinstance,ptmxmode=0666,mode=0620,gid=5"),
      device("/dev/null", 1, 3),
      device("/dev/zero", 1, 5),
      device("/dev/tty", 5, 0),
      op.symlink("pts/ptmx", "/dev/ptmx"),
      op.symlink("/proc/self/fd/1", "/dev/stdout"),
      ...inside,
      ...(stdio?.[1] === "pty" ? [op.console(true)] : []),
      op.session(),
      op.hostname("box"),
      op.pivot(),
      ...after,
      op.env(env),
      op.wait(),
      op.exec(...command),
    ];
  };
  const box: Box = {
    path: folder.path,
    root,
    runRoot,
    runtime,
    plan,
    run: async (script, options) =>
      finish(await runtime.create(`run-${count++}`, plan(["busybox", "sh", "-c", script], options))),
    async [Symbol.asyncDispose]() {
      await endTasks(runtime);
      await folder[Symbol.asyncDispose]();
      settled();
    },
  };
  const settled = onAbort(() => box[Symbol.asyncDispose]());
  return box;
}
