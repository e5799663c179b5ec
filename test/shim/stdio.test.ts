/** Bytes through the shim: all of them, in order, and nobody waits for somebody else. */

import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import type { Duplex } from "node:stream";
import * as op from "../../src/runtime/ops.ts";
import type { Task } from "../../src/runtime/runtime.ts";
import { type Box, makeBox, readAll, shimsOf, unframe } from "../support/box.ts";
import { until } from "../support/patience.ts";

const OUTPUT = { stdin: false, stdout: true, stderr: true };
const ALL = { stdin: true, stdout: true, stderr: true };
const ONCE = op.stdio("pipe", { stdin: true, once: true });
const OPEN = op.stdio("pipe", { stdin: true, once: false });

const create = (box: Box, script: string, stdio = ONCE): Promise<Task> =>
  box.runtime.create("one", box.plan(["busybox", "sh", "-c", script], { stdio }));

/** What `busybox seq` prints. */
const numbers = (count: number): string => `${Array.from({ length: count }, (_, index) => index + 1).join("\n")}\n`;

test("100 MB reach a reader that is slower than the writer, byte by byte", async () => {
  await using box = await makeBox();
  const size = 100 << 20;
  const task = await create(box, `busybox yes 0123456789abcde | busybox head -c ${size}`);
  const stream = await task.attach(OUTPUT);
  await task.go();
  const [hash, want] = [new Bun.CryptoHasher("sha256"), new Bun.CryptoHasher("sha256")];
  let rest = Buffer.alloc(0);
  let seen = 0;
  for await (const chunk of stream) {
    rest = Buffer.concat([rest, chunk]);
    while (rest.length >= 8 && rest.length >= 8 + rest.readUInt32BE(4)) {
      const payload = rest.subarray(8, 8 + rest.readUInt32BE(4));
      hash.update(payload);
      seen += payload.length;
      rest = rest.subarray(8 + payload.length);
    }
    if (seen % 7 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  for (let left = size; left > 0; left -= 1 << 20) want.update("0123456789abcde\n".repeat(65536));
  expect(seen).toBe(size);
  expect(hash.digest("hex")).toBe(want.digest("hex"));
  expect(await task.exited).toMatchObject({ code: 0 });
});

test("10 MB through cat come back as they were", async () => {
  await using box = await makeBox();
  const task = await create(box, "busybox cat");
  const stream = await task.attach(ALL);
  await task.go();
  const bytes = Buffer.from(crypto.getRandomValues(new Uint8Array(65536)));
  const output = readAll(stream);
  for (let i = 0; i < 160; i++) if (!stream.write(bytes)) await new Promise((resolve) => stream.once("drain", resolve));
  stream.end();
  const { stdout } = unframe(await output);
  expect(stdout.length).toBe(160 * bytes.length);
  expect(stdout.equals(Buffer.concat(Array(160).fill(bytes)))).toBe(true);
});

test("stdout and stderr keep their bytes apart when both flow", async () => {
  await using box = await makeBox();
  const result = await box.run("busybox seq 20000 & busybox seq 20000 >&2; wait");
  expect(result.stdout).toBe(numbers(20000));
  expect(result.stderr).toBe(numbers(20000));
});

test("a flood of lines comes in few frames", async () => {
  await using box = await makeBox();
  const task = await create(box, "i=0; while [ $i -lt 30000 ]; do i=$((i+1)); echo $i; done"); // a write for each
  const output = readAll(await task.attach(OUTPUT));
  await task.go();
  const bytes = await output;
  const { stdout } = unframe(bytes);
  expect(stdout.toString()).toBe(numbers(30000));
  expect((bytes.length - stdout.length) / 8).toBeLessThan(3000);
});

test("every client gets all output", async () => {
  await using box = await makeBox();
  const task = await create(box, "busybox seq 50000");
  const streams = await Promise.all(Array.from({ length: 5 }, () => task.attach(OUTPUT)));
  await task.go();
  for (const output of await Promise.all(streams.map(readAll)))
    expect(unframe(output).stdout.toString()).toBe(numbers(50000));
});

/** Standing still: what the program has written does not grow. One that has written less than so much may only be short of time. */
async function standstill(path: string, least: number): Promise<number> {
  for (let before = -1; ; ) {
    const now = Number(readFileSync(path, "utf8").trim().split("\n").at(-1) ?? 0);
    if (now === before && now >= least) return now;
    before = now;
    await Bun.sleep(100);
  }
}

/** Writes lines of 64 KiB, and how many into /tmp/count. */
const FLOOD =
  "i=0; while [ $i -lt 100 ]; do busybox dd if=/dev/zero bs=65536 count=1 2>/dev/null; i=$((i+1)); echo $i >> /count; done";

test("a client that does not read stops the container after 1 MiB, its leaving frees it", async () => {
  await using box = await makeBox();
  const task = await create(box, `${FLOOD}; exit 3`);
  const stuck = await task.attach(OUTPUT);
  const count = `/proc/${task.pid}/root/count`;
  await task.go();
  while (!(await Bun.file(count).exists())) await Bun.sleep(1);
  const standing = await standstill(count, 16);
  expect(standing).toBeLessThan(40); // 1 MiB in the shim, and what pipes and sockets hold
  stuck.destroy();
  expect(await task.exited).toMatchObject({ code: 3 });
});

test("a client that does not read does not keep the exit from being told", async () => {
  await using box = await makeBox();
  const task = await create(box, "busybox seq 200000"); // 1.3 MB: fits with the grace
  const stuck = await task.attach(OUTPUT);
  await task.go();
  expect(await task.exited).toMatchObject({ code: 0 });
  expect(unframe(await readAll(stuck)).stdout.toString()).toBe(numbers(200000));
});

test("stdin that the container does not read blocks nothing else", async () => {
  await using box = await makeBox();
  const task = await create(box, "echo ready; while :; do busybox sleep 100; done");
  const stream = await task.attach(ALL);
  await task.go();
  let written = 0;
  const chunk = Buffer.alloc(65536);
  while (written < 100 && stream.write(chunk)) written++;
  const [first] = await new Promise<[Buffer]>((resolve) => stream.once("data", (data) => resolve([data])));
  expect(first.subarray(8).toString()).toBe("ready\n");
  await task.kill(9);
  expect(await task.exited).toMatchObject({ signal: 9 });
});

test("stdin without once stays open for the next client", async () => {
  await using box = await makeBox();
  const task = await create(box, "read a; read b; echo $a $b", OPEN);
  const output = readAll(await task.attach(OUTPUT));
  await task.go();
  (await task.attach({ stdin: true, stdout: false, stderr: false })).end("one\n");
  (await task.attach({ stdin: true, stdout: false, stderr: false })).end("two\n");
  expect(unframe(await output).stdout.toString()).toBe("one two\n");
});

test("stdin that a client wrote before it left is read", async () => {
  await using box = await makeBox();
  const task = await create(box, "busybox wc -c");
  const output = readAll(await task.attach(OUTPUT));
  const client = await task.attach({ stdin: true, stdout: false, stderr: false });
  await new Promise<void>((resolve) => client.end(Buffer.alloc(100_000), resolve));
  client.destroy();
  await task.go();
  expect(unframe(await output).stdout.toString()).toBe("100000\n");
});

test("a program that closes its stdin is not disturbed by input", async () => {
  await using box = await makeBox();
  const task = await create(box, "exec <&-; echo closed; busybox sleep 0.05; exit 4");
  const stream = await task.attach(ALL);
  await task.go();
  const output = readAll(stream);
  stream.write(Buffer.alloc(1 << 20));
  expect(await task.exited).toMatchObject({ code: 4 });
  expect(unframe(await output).stdout.toString()).toBe("closed\n");
});

test("stdio null hears and says nothing", async () => {
  await using box = await makeBox();
  expect(await box.run("busybox cat; echo x; echo y >&2; exit 2", { stdio: op.stdio("null") })).toEqual({
    code: 2,
    stdout: "",
    stderr: "",
  });
});

test("a process left behind that holds stdout does not keep the exit", async () => {
  await using box = await makeBox();
  const task = await create(box, "busybox sleep 1000");
  await task.go();
  const ns = (kind: string) => `/proc/${task.pid}/ns/${kind}`;
  const exec = await box.runtime.create("one/exec", [
    op.stdio("pipe"),
    op.join(ns("pid"), op.CLONE.newPid),
    op.clone(0),
    op.join(ns("mnt"), op.CLONE.newNs),
    op.env(["PATH=/bin"]),
    op.wait(),
    op.exec("busybox", "sh", "-c", "echo out; busybox sleep 1000 & exit 6"),
  ]);
  const output = readAll(await exec.attach(OUTPUT));
  const before = Date.now();
  await exec.go();
  expect(await exec.exited).toMatchObject({ code: 6 });
  expect(Date.now() - before).toBeWithin(1500, 30_000); // the grace is 2 s
  expect(unframe(await output).stdout.toString()).toBe("out\n");
});

async function session(box: Box, script: string): Promise<{ task: Task; stream: Duplex }> {
  const task = await create(box, script, op.stdio("pty", { stdin: true, once: true }));
  const stream = await task.attach(ALL);
  await task.go();
  return { task, stream };
}

test("a terminal tells its program of a new size", async () => {
  await using box = await makeBox();
  const { task, stream } = await session(
    box,
    "trap 'busybox stty size; exit 0' WINCH; echo go; while :; do busybox sleep 0.01; done",
  );
  let text = "";
  for await (const chunk of stream) {
    text += chunk;
    if (text === "go\r\n") await task.resize(50, 132);
    if (text.includes("50 132")) break;
  }
  expect(text).toBe("go\r\n50 132\r\n");
});

test("a terminal turns ^C into SIGINT for the foreground", async () => {
  await using box = await makeBox();
  const { task, stream } = await session(box, "trap 'exit 77' INT; echo go; while :; do busybox sleep 0.01; done");
  for await (const chunk of stream) if (chunk.toString().includes("go")) stream.write("\x03");
  expect(await task.exited).toMatchObject({ code: 77 });
});

test("a terminal survives that nobody has it open", async () => {
  await using box = await makeBox();
  const script = "exec 0<&- 1>&- 2>&-; busybox sleep 0.1; exec >/dev/console; echo again; exit 5";
  const { task, stream } = await session(box, script);
  expect((await readAll(stream)).toString()).toBe("again\r\n");
  expect(await task.exited).toMatchObject({ code: 5 });
});

test("a shim that waits takes little memory", async () => {
  await using box = await makeBox();
  const task = await create(box, "busybox head -c 3000000 /dev/zero; read x");
  const stream = await task.attach(ALL);
  stream.on("data", () => {});
  await task.go();
  const [pid] = await shimsOf(box.runRoot);
  const kib = () => {
    const text = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
    const anonymous = /Anonymous:\s+(\d+)/.exec(text)?.[1] ?? "";
    return Number(anonymous);
  };
  // Buffers are given back half a second after the last byte.
  await until("it has given its buffers back", () => kib() <= 200);
  expect(kib()).toBeGreaterThan(0);
});
