/** A bundle: a directory with a configuration and a root file system. Source: runtime-spec bundle.md. */

import { existsSync, readFileSync, realpathSync, statSync } from "node:fs";
import { release } from "node:os";
import { join, resolve } from "node:path";
import { hasCode, invalid, notFound, notImplemented } from "../base/errors.ts";
import { isObject } from "../base/objects.ts";
import { compileSeccomp, type SeccompFilter } from "../runtime/seccomp.ts";
import { parseSeccompProfile } from "../runtime/seccomp-profile.ts";
import { configDecoder, type OciConfig, type OciLinux, type OciProcess } from "./config.ts";
import { parseDocument } from "./schema.ts";

export interface Bundle {
  /** Absolute. */
  readonly path: string;
  readonly config: OciConfig;
  readonly linux: OciLinux;
  readonly process: OciProcess;
  /** Absolute, without links. */
  readonly rootfs: string;
}

function readConfig(path: string): OciConfig {
  try {
    return parseDocument("config.json", readFileSync(join(path, "config.json"), "utf8"), configDecoder);
  } catch (error) {
    if (hasCode(error, "ENOENT", "ENOTDIR"))
      throw notFound(`JSON specification file config.json not found in ${path}`, { cause: error });
    throw error;
  }
}

function rootfsOf(path: string, { root }: OciConfig): string {
  if (root === undefined) throw invalid("root must be specified");
  const rootfs = resolve(path, root.path);
  if (!existsSync(rootfs) || !statSync(rootfs).isDirectory())
    throw notFound(`invalid rootfs: ${rootfs} is no directory`);
  const real = realpathSync(rootfs);
  if (real === "/") throw invalid("invalid rootfs: it is the host's root");
  return real;
}

/** @throws notFound, invalid */
export function openBundle(directory: string): Bundle {
  const path = resolve(directory);
  const config = readConfig(path);
  const { linux, process } = config;
  if (!/^1\.\d+\.\d+/.test(config.ociVersion))
    throw invalid(`unsupported ociVersion ${JSON.stringify(config.ociVersion)}`);
  if (process === undefined) throw invalid("process property must not be empty");
  if (linux === undefined) throw invalid("linux property must not be empty");
  return { path, config, linux, process, rootfs: rootfsOf(path, config) };
}

/** @throws invalid, notImplemented */
export function seccompOf({ seccomp }: OciLinux): SeccompFilter | undefined {
  if (!isObject(seccomp)) return undefined;
  if (seccomp.listenerPath) throw notImplemented("linux.seccomp.listenerPath is not supported");
  const architecture = process.arch === "arm64" ? "arm64" : "amd64";
  return compileSeccomp(parseSeccompProfile(JSON.stringify(seccomp)), {
    architecture,
    kernel: release(),
    capabilities: [],
  });
}

/** A security module that is not there would not hold what it is asked to. @throws invalid in runc's words */
export function checkLabels({ apparmorProfile, selinuxLabel }: OciProcess): void {
  if (apparmorProfile && !existsSync("/sys/kernel/security/apparmor"))
    throw invalid("apparmor: config provided but apparmor not supported");
  if (selinuxLabel && !existsSync("/sys/fs/selinux/enforce"))
    throw invalid("selinux label is specified in config, but selinux is disabled or not supported");
}
