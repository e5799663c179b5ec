/**
 * Runs tests on a machine of its own, with another kernel and cgroups of the second generation alone: what most hosts are like, and this one may not be.
 *
 *   bun test/support/machine.ts [--kernel DIR] [--seconds N] TEST…
 *
 * The machine is qemu's, without KVM some twenty times slower. It has this host's files, read-only under a layer in its memory, no network but loopback
 * and no disk. Not part of `npm test`. Needs Debian's qemu-system-x86, busybox-static, cpio and kmod; the kernel is Debian's own, or in DIR: a package
 * linux-image-* (newer: linux-binary-* and linux-modules-*), unpacked by dpkg-deb -x.
 */

import { chmodSync, existsSync, globSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";

/** Modules that reach the root, before there is a modprobe. */
const EARLY = ["virtio_pci", "9pnet_virtio", "9p", "overlay"];

/** Where the folder of this run is, inside as well as outside. */
const SHARED = "/var/tmp";

const sh = async (command: readonly string[], cwd = "."): Promise<string> => {
  const child = Bun.spawn([...command], { cwd, stdin: "ignore", stdout: "pipe", stderr: "inherit" });
  const text = await child.stdout.text();
  if ((await child.exited) !== 0) throw new Error(`${command.join(" ")} failed`);
  return text;
};

/** @returns a folder with the packages of Debian's kernel, unpacked */
async function debianKernel(folder: string): Promise<string> {
  const wanted = await sh(["apt-cache", "depends", "linux-image-amd64"]);
  const name = /Depends: (linux-image-\S+)/.exec(wanted)?.[1];
  if (name === undefined) throw new Error("apt knows no kernel: apt-get update");
  await sh(["apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", name], folder);
  const root = join(folder, "kernel");
  for (const file of globSync(join(folder, "*.deb"))) {
    await sh(["dpkg-deb", "-x", file, root]);
    rmSync(file);
  }
  return root;
}

interface Kernel {
  readonly image: string;
  /** Holds `lib/modules`. */
  readonly base: string;
  readonly release: string;
}

function kernelIn(root: string): Kernel {
  const [modules] = globSync(join(root, "{usr/,}lib/modules/*"));
  const release = basename(modules ?? "");
  const image = [join(modules ?? "", "vmlinuz"), join(root, `boot/vmlinuz-${release}`)].find(existsSync);
  if (modules === undefined || image === undefined) throw new Error(`There is no kernel in ${root}`);
  return { image, base: join(modules, "../../.."), release };
}

/** @returns paths of modules, what each needs before it */
async function modulesOf({ base, release }: Kernel): Promise<readonly string[]> {
  await sh(["depmod", "-b", base, release]);
  const lists = await Promise.all(
    EARLY.map((name) => sh(["modprobe", "-d", base, "-S", release, "--show-depends", name]).catch(() => "")), // built in
  );
  return [...new Set(lists.flatMap((list) => [...list.matchAll(/^insmod (\S+)/gm)].map(([, path = ""]) => path)))];
}

/** Process 1 until the root is there. */
const init = (modules: readonly string[], folder: string, base: string): string => `#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
for module in ${modules.join(" ")}; do insmod /modules/$module; done
mount -t 9p -o trans=virtio,version=9p2000.L,msize=524288,cache=loose,ro host /lower
mount -t tmpfs -o size=70% upper /upper; mkdir /upper/diff /upper/work
mount -t overlay -o lowerdir=/lower,upperdir=/upper/diff,workdir=/upper/work overlay /new
for each in proc sys dev; do mount --move /$each /new/$each; done
mkdir -p /new/dev/pts /new/dev/shm /new/lib/modules
mount -t devpts devpts /new/dev/pts; mount -t tmpfs shm /new/dev/shm
mount -t tmpfs -o mode=755 run /new/run; mount -t tmpfs tmp /new/tmp
mount -t cgroup2 cgroup2 /new/sys/fs/cgroup; mount -t securityfs security /new/sys/kernel/security
mount --bind /lower${base}/lib/modules /new/lib/modules
exec switch_root /new /bin/sh ${folder}/job
`;

const job = (tests: readonly string[], seconds: number): string => `
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
ip link set lo up; hostname machine; uname -sr
cd ${process.cwd()}
timeout ${seconds} ${process.execPath} test --timeout ${seconds * 1000} ${tests.join(" ")} 2>&1
echo "ended with $?"
echo o > /proc/sysrq-trigger; while :; do :; done
`;

async function initramfs(folder: string, kernel: Kernel): Promise<string> {
  const root = join(folder, "initramfs");
  for (const name of ["bin", "modules", "proc", "sys", "dev", "lower", "upper", "new"])
    mkdirSync(join(root, name), { recursive: true });
  const modules = await modulesOf(kernel);
  await sh(["cp", Bun.which("busybox") ?? "", join(root, "bin/busybox")]);
  for (const path of modules) await sh(["cp", path, join(root, "modules")]);
  if (modules.some((path) => path.endsWith(".xz"))) await sh(["sh", "-c", "xz -d *.xz"], join(root, "modules"));
  const names = modules.map((path) => basename(path, ".xz"));
  await Bun.write(join(root, "init"), init(names, folder, kernel.base));
  chmodSync(join(root, "init"), 0o755);
  const path = join(folder, "initramfs.cpio");
  await sh(["sh", "-c", `find . | cpio --quiet -o -H newc > ${path}`], root);
  return path;
}

/** @returns the exit code of the tests; 1 when the machine did not get that far */
async function boot(folder: string, kernel: Kernel, seconds: number): Promise<number> {
  const machine = Bun.spawn(
    [
      ...["timeout", `${seconds + 300}`, "qemu-system-x86_64", "-machine", "q35", "-accel", "tcg,thread=multi"],
      ...["-cpu", "max,rdtscp=off", "-m", "6G", "-smp", "2", "-nographic", "-no-reboot", "-nic", "none"], // rdtscp: qemu 7.2 patches it wrongly
      ...["-virtfs", "local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap"],
      ...["-kernel", kernel.image, "-initrd", await initramfs(folder, kernel)],
      ...["-append", "console=ttyS0 panic=-1 quiet"],
    ],
    { stdin: "ignore", stdout: "pipe", stderr: "inherit" },
  );
  let tail = "";
  for await (const piece of machine.stdout) {
    process.stdout.write(piece);
    tail = (tail + Buffer.from(piece).toString("latin1")).slice(-200);
  }
  return Number(/ended with (\d+)/.exec(tail)?.[1] ?? 1);
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { kernel: { type: "string" }, seconds: { type: "string", default: "600" } },
});
const folder = mkdtempSync(join(SHARED, "bosun-machine-"));
try {
  const kernel = kernelIn(values.kernel ?? (await debianKernel(folder)));
  await Bun.write(join(folder, "job"), job(positionals, Number(values.seconds)));
  process.exitCode = await boot(folder, kernel, Number(values.seconds));
} finally {
  rmSync(folder, { recursive: true, force: true });
}
