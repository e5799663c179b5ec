/**
 * Rivals from another Debian: programs of a debootstrapped tree, run in a mount namespace that has the tree for its root. The network, and the scratch
 * folder under its own name, are the host's.
 */

import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";

/** $1 tree, $2 scratch folder, $3 file that says when it stands. */
const SCRIPT = `
set -e
mount --make-rprivate /
# newer versions of crun refuse the hybrid layout of cgroups when the second version has a controller to offer
[ -z "$(cat /sys/fs/cgroup/unified/cgroup.controllers 2>/dev/null)" ] ||
  mount --bind /dev/null /sys/fs/cgroup/unified/cgroup.controllers
mkdir -p "$1$2" "$1/mnt"
mount --bind "$1" "$1"
for each in proc sys dev; do mount --rbind "/$each" "$1/$each"; done
mount --rbind "$2" "$1$2"
cd "$1"
pivot_root . mnt
umount -l /mnt
cd /
mount -t tmpfs -o mode=755 tmpfs /run
touch "$3"
exec sleep infinity
`;

export class Tree implements AsyncDisposable {
  private constructor(
    readonly path: string,
    readonly holder: Bun.Subprocess,
  ) {}

  /** @param folder  scratch, the same path inside. @throws Error when the namespace cannot be made */
  static async open(path: string, folder: string): Promise<Tree> {
    const ready = join(folder, "tree.ready");
    const holder = Bun.spawn(["unshare", "-m", "sh", "-c", SCRIPT, "tree", path, folder, ready], {
      stdin: "ignore",
      stdout: "ignore",
      stderr: "pipe",
    });
    for (let waited = 0; !existsSync(ready) && holder.exitCode === null && waited < 5000; waited += 20)
      await Bun.sleep(20);
    if (!existsSync(ready)) throw new Error(`Cannot use ${path}: ${await holder.stderr.text()}`);
    rmSync(ready);
    return new Tree(path, holder);
  }

  has(program: string): boolean {
    return ["usr/bin", "usr/sbin"].some((folder) => existsSync(join(this.path, folder, program)));
  }

  /** @returns the command as the host runs it */
  command(...words: readonly string[]): string[] {
    return ["nsenter", "-t", String(this.holder.pid), "-m", "--", ...words];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.holder.kill("SIGKILL"); // process 1 of nothing: sleep has no handler
    await this.holder.exited;
  }
}
