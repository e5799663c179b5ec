/** The configuration that an image gets from a container. Pure. Source: Docker Engine API, ImageCommit. */

import type { RunConfig } from "../base/oci.ts";
import { type ContainerConfig, DEFAULT_PATH } from "./config.ts";

const keyed = (keys: readonly string[]): Readonly<Record<string, object>> =>
  Object.fromEntries(keys.map((key) => [key, {}]));

const nameOf = (entry: string): string => entry.split("=", 1)[0] ?? "";

/** The search path that every container gets is the image's only if the image says so, or somebody else. */
function ownEnv({ env }: ContainerConfig, image: RunConfig): readonly string[] {
  const ofImage = (image.Env ?? []).some((entry) => nameOf(entry) === "PATH");
  return ofImage ? env : env.filter((entry) => entry !== DEFAULT_PATH);
}

/** @param image  the configuration that the container was made from: what containers do not carry themselves is still in it */
export function runConfigOf(config: ContainerConfig, image: RunConfig = {}): RunConfig {
  return {
    ...image,
    User: config.user,
    ExposedPorts: keyed(config.exposedPorts),
    Env: ownEnv(config, image),
    Entrypoint: config.entrypoint,
    Cmd: config.cmd,
    Volumes: keyed(config.volumes),
    WorkingDir: config.workingDir,
    Labels: config.labels,
    StopSignal: config.stopSignal,
    OnBuild: config.onBuild,
    ...(config.healthcheck && { Healthcheck: config.healthcheck }),
    ...(config.stopTimeoutS !== undefined && { StopTimeout: config.stopTimeoutS }),
  };
}

/** @returns `config`, and where it is silent, what the container has */
export function completed(config: RunConfig, own: RunConfig): RunConfig {
  const names = new Set((config.Env ?? []).map(nameOf));
  const hasEntrypoint = (config.Entrypoint ?? []).length > 0;
  const hasCmd = (config.Cmd ?? []).length > 0;
  return {
    ...own,
    ...config,
    User: config.User || (own.User ?? ""),
    ExposedPorts: { ...own.ExposedPorts, ...config.ExposedPorts },
    Env: [...(config.Env ?? []), ...(own.Env ?? []).filter((entry) => !names.has(nameOf(entry)))],
    Labels: { ...own.Labels, ...config.Labels },
    Volumes: { ...own.Volumes, ...config.Volumes },
    WorkingDir: config.WorkingDir || (own.WorkingDir ?? ""),
    StopSignal: config.StopSignal || (own.StopSignal ?? ""),
    Entrypoint: config.Entrypoint ?? own.Entrypoint ?? null,
    // The container's command is an argument of its own entrypoint, not of another.
    Cmd: hasCmd || hasEntrypoint ? (config.Cmd ?? null) : (own.Cmd ?? null),
  };
}
