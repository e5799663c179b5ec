/** Device nodes of the host that a container is given. Source: Moby, daemon/pkg/oci/devices_linux.go. */

import { lstat, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { hasCode, invalid } from "../base/errors.ts";
import type { DeviceRule } from "../runtime/cgroup.ts";
import type { CdiNode } from "./cdi-spec.ts";
import type { DeviceMapping } from "./config.ts";
import type { DeviceNode } from "./isolation.ts";

/** Folders of /dev that hold no devices of the machine, or that a container has of its own. */
const NOT_DEVICES = new Set(["pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev", "console"]);

/** makedev(3) the other way: glibc's layout of a device number. */
const majorOf = (device: number): number => ((device >>> 8) & 0xfff) | (Math.floor(device / 2 ** 32) & ~0xfff);
const minorOf = (device: number): number => (device & 0xff) | ((device >>> 12) & ~0xff);

async function nodeAt(hostPath: string, path: string): Promise<DeviceNode | undefined> {
  const info = await stat(hostPath);
  if (!info.isCharacterDevice() && !info.isBlockDevice()) return undefined;
  const type = info.isCharacterDevice() ? "c" : "b";
  return { path, type, major: majorOf(info.rdev), minor: minorOf(info.rdev), mode: info.mode & 0o7777 };
}

/** Every device below a folder. Nodes that go away while we look are left out. */
async function nodesBelow(hostPath: string, path: string): Promise<DeviceNode[]> {
  const found: DeviceNode[] = [];
  for (const entry of await readdir(hostPath, { withFileTypes: true })) {
    if (NOT_DEVICES.has(entry.name)) continue;
    const [from, to] = [join(hostPath, entry.name), join(path, entry.name)];
    if (entry.isDirectory()) found.push(...(await nodesBelow(from, to)));
    if (!entry.isCharacterDevice() && !entry.isBlockDevice()) continue;
    const node = await nodeAt(from, to).catch(() => undefined);
    if (node) found.push(node);
  }
  return found;
}

/** A disk by its numbers. @throws invalid in Docker's words when the host has no such node */
export async function diskAt(path: string): Promise<{ readonly major: number; readonly minor: number }> {
  const node = await nodeAt(path, path).catch((error) => {
    if (!hasCode(error, "ENOENT", "ENOTDIR")) throw error;
    throw invalid(`stat ${path}: no such file or directory`);
  });
  if (node?.type !== "b") throw invalid(`${path} is not a block device`);
  return { major: node.major, minor: node.minor };
}

/** For `--privileged`: all that the host has. */
export const hostDevices = (): Promise<readonly DeviceNode[]> => nodesBelow("/dev", "/dev");

export interface Device {
  readonly node: DeviceNode;
  readonly rule: DeviceRule;
}

/** A vendor's node, as the host has it but for what the vendor says. @throws invalid when the host has no such device */
export async function cdiDevice(node: CdiNode): Promise<Device> {
  const { path, hostPath, permissions, mode, uid, gid } = node;
  const [device] = await mappedDevices({ hostPath, containerPath: path, permissions });
  if (device === undefined) throw invalid(`CDI device injection failed: ${hostPath} is not a device node`);
  const own = {
    ...(mode !== undefined && { mode }),
    ...(uid !== undefined && { uid }),
    ...(gid !== undefined && { gid }),
  };
  return { ...device, node: { ...device.node, ...own } };
}

/** @throws invalid in Docker's words when the host has no such device */
export async function mappedDevices({
  hostPath,
  containerPath,
  permissions,
}: DeviceMapping): Promise<readonly Device[]> {
  try {
    const node = await nodeAt(hostPath, containerPath);
    const nodes = node
      ? [node]
      : (await lstat(hostPath)).isDirectory()
        ? await nodesBelow(hostPath, containerPath)
        : [];
    if (nodes.length === 0)
      throw invalid(`error gathering device information while adding custom device "${hostPath}": not a device node`);
    return nodes.map((one) => ({
      node: one,
      rule: { allow: true, type: one.type, major: one.major, minor: one.minor, access: permissions },
    }));
  } catch (error) {
    if (!hasCode(error, "ENOENT", "ENOTDIR")) throw error;
    throw invalid(
      `error gathering device information while adding custom device "${hostPath}": no such file or directory`,
    );
  }
}
