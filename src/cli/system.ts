/** `version` and `info`. */

import packageFile from "../../package.json" with { type: "json" };
import type { Command } from "./command.ts";

interface Version {
  readonly Platform?: { readonly Name: string };
  readonly Version: string;
  readonly ApiVersion: string;
  readonly MinAPIVersion?: string;
  readonly GitCommit: string;
  readonly Os: string;
  readonly Arch: string;
  readonly KernelVersion: string;
}

const fields = (rows: readonly (readonly [name: string, value: string])[]): string =>
  rows.map(([name, value]) => ` ${`${name}:`.padEnd(18)} ${value}`).join("\n");

export const versionCommand: Command = {
  usage: "version",
  summary: "Show version information of client and engine",
  flags: {},
  args: [0, 0],
  async run(client) {
    console.log(
      `Client: Bosun\n${fields([
        ["Version", packageFile.version],
        ["OS/Arch", `linux/${process.arch}`],
      ])}\n`,
    );
    const server = await client.get<Version>("/version");
    const rows = [
      ["Version", server.Version],
      ["API version", `${server.ApiVersion} (minimum version ${server.MinAPIVersion ?? "?"})`],
      ["Git commit", server.GitCommit],
      ["OS/Arch", `${server.Os}/${server.Arch}`],
      ["Kernel", server.KernelVersion],
    ] as const;
    console.log(`Server: ${server.Platform?.Name ?? ""}\n${fields(rows)}`);
    return 0;
  },
};

interface Info {
  readonly Containers: number;
  readonly ContainersRunning: number;
  readonly ContainersPaused: number;
  readonly ContainersStopped: number;
  readonly Images: number;
  readonly ServerVersion: string;
  readonly Driver: string;
  readonly DriverStatus?: readonly (readonly [string, string])[];
  readonly LoggingDriver: string;
  readonly CgroupDriver: string;
  readonly CgroupVersion?: string;
  readonly KernelVersion: string;
  readonly OperatingSystem: string;
  readonly Architecture: string;
  readonly NCPU: number;
  readonly MemTotal: number;
  readonly Name: string;
  readonly DockerRootDir: string;
  readonly SecurityOptions?: readonly string[];
  readonly Warnings?: readonly string[] | null;
}

export const infoCommand: Command = {
  usage: "info",
  summary: "Display what the engine knows of itself and its host",
  flags: {},
  args: [0, 0],
  async run(client) {
    const info = await client.get<Info>("/info");
    const rows: readonly (readonly [string, string])[] = [
      ["Containers", `${info.Containers}`],
      [" Running", `${info.ContainersRunning}`],
      [" Paused", `${info.ContainersPaused}`],
      [" Stopped", `${info.ContainersStopped}`],
      ["Images", `${info.Images}`],
      ["Server Version", info.ServerVersion],
      ["Storage Driver", info.Driver],
      ...(info.DriverStatus ?? []).map(([name, value]): readonly [string, string] => [` ${name}`, value]),
      ["Logging Driver", info.LoggingDriver],
      ["Cgroup Driver", info.CgroupDriver],
      ["Cgroup Version", info.CgroupVersion ?? ""],
      ["Security Options", (info.SecurityOptions ?? []).join(" ")],
      ["Kernel Version", info.KernelVersion],
      ["Operating System", info.OperatingSystem],
      ["Architecture", info.Architecture],
      ["CPUs", `${info.NCPU}`],
      ["Total Memory", `${(info.MemTotal / 2 ** 30).toFixed(2)}GiB`],
      ["Name", info.Name],
      ["Docker Root Dir", info.DockerRootDir],
    ];
    console.log(rows.map(([name, value]) => `${name}: ${value}`).join("\n"));
    for (const warning of info.Warnings ?? []) process.stderr.write(`${warning}\n`);
    return 0;
  },
};
