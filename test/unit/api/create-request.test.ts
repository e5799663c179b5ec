/** The body of POST /containers/create: what is understood, what is refused, and with which words. */

import { describe, expect, test } from "bun:test";
import { toContainerRequest, toHostConfig } from "../../../src/api/create-request.ts";
import { Document } from "../../../src/api/document.ts";
import { kindOf } from "../../../src/base/errors.ts";
import { HOST_DEFAULTS } from "../../support/plans.ts";

const DEFAULTS = { ...HOST_DEFAULTS, log: { driver: "json-file", options: { "max-size": "1m" } } };
const request = (body: object) => toContainerRequest(new Document({ Image: "x", ...body }));
const host = (document: object) => toHostConfig(new Document(document, "HostConfig."), DEFAULTS);

/** @returns `kind: message` */
function refusal(call: () => unknown): string {
  try {
    call();
    return "nothing";
  } catch (error) {
    return `${kindOf(error)}: ${error instanceof Error ? error.message : error}`;
  }
}

describe("toContainerRequest()", () => {
  test("toContainerRequest() takes nulls and absence alike, as Go writes them", () => {
    const nothing = request({});
    expect(
      request({
        Cmd: null,
        Entrypoint: null,
        Env: null,
        Labels: null,
        ExposedPorts: null,
        Healthcheck: null,
        Volumes: null,
        StopTimeout: null,
        Tty: null,
      }),
    ).toEqual(nothing);
    expect(nothing).toMatchObject({
      image: "x",
      env: [],
      labels: {},
      exposedPorts: [],
      tty: false,
      stopTimeoutS: undefined,
    });
    expect("entrypoint" in nothing || "cmd" in nothing).toBe(false);
  });

  test("toContainerRequest() takes one word for a list of one", () => {
    expect(request({ Cmd: "ls", Entrypoint: "sh" })).toMatchObject({ cmd: ["ls"], entrypoint: ["sh"] });
  });

  test.each<[body: object, refused: string]>([
    [{ Image: "" }, "invalid: no command specified: config.Image is empty"],
    [{ Image: 7 }, "invalid: invalid JSON: Image must be a string"],
    [{ Cmd: [1] }, "invalid: invalid JSON: Cmd must be a list of strings"],
    [{ Cmd: ["a\0b"] }, "invalid: invalid JSON: Cmd must be free of NUL bytes"],
    [{ Env: ["A=\0"] }, "invalid: invalid JSON: Env must be free of NUL bytes"],
    [{ Env: ["=x"] }, "invalid: invalid environment variable: =x"],
    [{ Env: [""] }, "invalid: invalid environment variable: "],
    [{ Tty: "yes" }, "invalid: invalid JSON: Tty must be true or false"],
    [{ StopTimeout: 1.5 }, "invalid: invalid JSON: StopTimeout must be a whole number"],
    [{ Labels: { a: 1 } }, "invalid: invalid JSON: Labels.a must be a string"],
    [{ Labels: [] }, "invalid: invalid JSON: Labels. must be an object"],
    [{ Hostname: "a b" }, "invalid: invalid hostname format: a b"],
    [{ Hostname: "a\nb" }, "invalid: invalid hostname format: a\nb"],
    [{ Hostname: "a".repeat(65) }, `invalid: invalid hostname format: ${"a".repeat(65)}`],
  ])("toContainerRequest(%p) is refused", (body, refused) => {
    expect(refusal(() => request(body))).toBe(refused);
  });

  test("toContainerRequest() takes a health check that says that there is none", () => {
    expect(request({ Healthcheck: { Test: ["NONE"] } }).image).toBe("x");
  });
});

describe("toHostConfig()", () => {
  test("toHostConfig() of nothing has the daemon's defaults", () => {
    expect(host({})).toMatchObject({
      binds: [],
      tmpfs: {},
      networkMode: "bridge",
      links: [],
      namespaces: { network: "own", pid: "private", ipc: "private", uts: "private", cgroup: "private" },
      log: { driver: "json-file", options: { "max-size": "1m" } },
      shmSize: 64 << 20,
      privileged: false,
      readonlyRootfs: false,
      maskedPaths: undefined,
      readonlyPaths: undefined,
      init: undefined,
      consoleSize: [0, 0],
    });
  });

  test("the engine's own runtime keeps the name by which it is asked for", () => {
    expect(host({ Runtime: "runc" })).toMatchObject({ ownRuntime: "runc" });
    expect([host({ Runtime: "runc" }).runtime, host({}).runtime, host({}).ownRuntime]).toEqual(
      Array(3).fill(undefined),
    );
  });

  test("toHostConfig() of what the real client sends for no flags at all is the same", () => {
    // docker 28, `docker create x`, as it is on the wire
    const sent = JSON.parse(
      '{"Binds":null,"ContainerIDFile":"","LogConfig":{"Type":"","Config":{}},"NetworkMode":"default","PortBindings":{},"RestartPolicy":{"Name":"no","MaximumRetryCount":0},"AutoRemove":false,"VolumeDriver":"","VolumesFrom":null,"ConsoleSize":[0,0],"CapAdd":null,"CapDrop":null,"CgroupnsMode":"","Dns":[],"DnsOptions":[],"DnsSearch":[],"ExtraHosts":null,"GroupAdd":null,"IpcMode":"","Cgroup":"","Links":null,"OomScoreAdj":0,"PidMode":"","Privileged":false,"PublishAllPorts":false,"ReadonlyRootfs":false,"SecurityOpt":null,"UTSMode":"","UsernsMode":"","ShmSize":0,"Isolation":"","CpuShares":0,"Memory":0,"NanoCpus":0,"CgroupParent":"","BlkioWeight":0,"BlkioWeightDevice":[],"BlkioDeviceReadBps":[],"BlkioDeviceWriteBps":[],"BlkioDeviceReadIOps":[],"BlkioDeviceWriteIOps":[],"CpuPeriod":0,"CpuQuota":0,"CpuRealtimePeriod":0,"CpuRealtimeRuntime":0,"CpusetCpus":"","CpusetMems":"","Devices":[],"DeviceCgroupRules":null,"DeviceRequests":null,"MemoryReservation":0,"MemorySwap":0,"MemorySwappiness":-1,"OomKillDisable":false,"PidsLimit":0,"Ulimits":[],"CpuCount":0,"CpuPercent":0,"IOMaximumIOps":0,"IOMaximumBandwidth":0,"MaskedPaths":null,"ReadonlyPaths":null}',
    );
    expect(host(sent)).toEqual(host({}));
  });

  test.each<[document: object, refused: string]>([
    [{ PortBindings: { "80/tcp": [{ HostPort: "x" }] } }, 'invalid: invalid port specification: "x"'],
    [{ PortBindings: { "80/icmp": [] } }, "invalid: invalid port specification: invalid proto: icmp"],
    [{ PortBindings: { "80/tcp": [{ HostIp: "here" }] } }, "invalid: invalid IP address: here"],
    [{ MemorySwappiness: 101 }, "invalid: Invalid value: 101, valid memory swappiness range is 0-100"],
    [{ DeviceCgroupRules: ["c 1:1"] }, "invalid: invalid device cgroup rule format: 'c 1:1'"],
    [{ BlkioWeight: 1001 }, "invalid: Range of blkio weight is from 10 to 1000"],
    [{ BlkioWeightDevice: [{ Path: "/dev/x", Weight: 1 }] }, "invalid: Range of blkio weight is from 10 to 1000"],
    [
      { CpuRealtimePeriod: 10, CpuRealtimeRuntime: 20 },
      "invalid: cpu real-time runtime cannot be higher than cpu real-time period",
    ],
    [
      { IOMaximumIOps: 1 },
      "invalid: Invalid QoS settings: linux does not support Maximum IO Bandwidth or Maximum IO IOps",
    ],
    [
      { Memory: 64 << 20, MemoryReservation: 65 << 20 },
      "invalid: Minimum memory limit can not be less than memory reservation limit, see usage",
    ],
    [{ CgroupParent: "a/../../b" }, "invalid: invalid cgroup parent a/../../b: want a path without .."],
    [
      { RestartPolicy: { Name: "always" }, AutoRemove: true },
      "invalid: can't create 'AutoRemove' container with restart policy",
    ],
    [
      { RestartPolicy: { Name: "often" } },
      "invalid: invalid restart policy: unknown policy 'often'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'",
    ],
    [
      { RestartPolicy: { Name: "always", MaximumRetryCount: 1 } },
      "invalid: invalid restart policy: maximum retry count can only be used with 'on-failure'",
    ],
    [{ Runtime: "nosuch" }, "invalid: unknown or invalid runtime name: nosuch"],
    [{ PidMode: "container:" }, "invalid: invalid PID mode: container:"],
    [{ UTSMode: "container:x" }, "invalid: invalid UTS mode: container:x"],
    [{ PidMode: "shared" }, "invalid: invalid PID mode: shared"],
    [{ IpcMode: "toString" }, "invalid: invalid IPC mode: toString"],
    [{ UTSMode: "none" }, "invalid: invalid UTS mode: none"],
    [{ UsernsMode: "x" }, "invalid: invalid userns mode: x"],
    [{ Memory: 1 << 20 }, "invalid: Minimum memory limit allowed is 6MB"],
    [
      { MemorySwap: 64 << 20 },
      "invalid: You should always set the Memory limit when using Memoryswap limit, see usage",
    ],
    [
      { Memory: 64 << 20, MemorySwap: 32 << 20 },
      "invalid: Minimum memoryswap limit should be larger than memory limit, see usage",
    ],
    [{ NanoCpus: 1e9, CpuQuota: 1000 }, "invalid: Conflicting options: Nano CPUs and CPU Period cannot both be set."],
    [{ OomScoreAdj: 1001 }, "invalid: Invalid value 1001, range for oom score adj is [-1000, 1000]"],
    [
      { NanoCpus: (navigator.hardwareConcurrency + 1) * 1e9 },
      `invalid: range of CPUs is from 0.01 to ${navigator.hardwareConcurrency}.00, as there are only ${navigator.hardwareConcurrency} CPUs available`,
    ],
    [{ CpuQuota: 10 }, "invalid: CPU cfs quota can not be less than 1ms (i.e. 1000)"],
    [
      { CpuPeriod: 2_000_000 },
      "invalid: CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)",
    ],
    [{ StorageOpt: { inodes: "5" } }, "invalid: unknown storage option inodes: want size"],
    [{ StorageOpt: { size: "much" } }, "invalid: invalid size: 'much'"],
    [{ StorageOpt: { size: "0" } }, "invalid: invalid storage option size: '0'"],
    [{ ShmSize: -1 }, expect.stringContaining("invalid: invalid value -1 for ShmSize") as unknown as string],
    [{ Devices: [{ PathOnHost: "/dev/x", CgroupPermissions: "rx" }] }, "invalid: invalid device permissions: rx"],
    [{ Ulimits: [{ Name: "files", Soft: 1, Hard: 1 }] }, "invalid: invalid ulimit type: files"],
    [{ ConsoleSize: ["a"] }, "invalid: invalid JSON: ConsoleSize must be [height, width]"],
    [{ Binds: ["/a:/x", "/b:/x/"] }, "invalid: Duplicate mount point: /x"],
    [{ Binds: ["/a:/x"], Tmpfs: { "/x": "" } }, "invalid: Duplicate mount point: /x"],
    [
      { Mounts: [{ Type: "image", Target: "/x" }] },
      'invalid: invalid mount config for type "image": field Source must not be empty',
    ],
    [
      { Mounts: [{ Type: "image", Source: "a", Target: "/x", ImageOptions: { Subpath: "a/../../b" } }] },
      'invalid: invalid mount config for type "image": subpath must be a relative path within the image',
    ],
    [{ Mounts: [{ Type: "npipe", Target: "/x" }] }, "notImplemented: mount type 'npipe' is not supported yet"],
    [
      { Mounts: [{ Type: "bind", Source: "/a", Target: "" }] },
      'invalid: invalid mount config for type "bind": field Target must not be empty',
    ],
    [
      { Mounts: [{ Type: "bind", Source: "a", Target: "/x" }] },
      "invalid: invalid mount config for type \"bind\": invalid mount path: 'a' mount path must be absolute",
    ],
    [
      { Mounts: [{ Type: "bind", Source: "/a", Target: "/x", BindOptions: { Propagation: "sideways" } }] },
      'invalid: invalid mount config for type "bind": invalid propagation mode: sideways',
    ],
    [{ Mounts: "x" }, "invalid: invalid JSON: HostConfig.Mounts must be a list"],
    [{ Mounts: [7] }, "invalid: invalid JSON: HostConfig.Mounts[0]. must be an object"],
  ])("toHostConfig(%p) is refused", (document, refused) => {
    expect(refusal(() => host(document))).toEqual(refused);
  });

  test("toHostConfig() turns Mounts into binds and tmpfs", () => {
    const { binds, tmpfs } = host({
      Mounts: [
        { Type: "bind", Source: "/a", Target: "/x", ReadOnly: true, BindOptions: { Propagation: "rslave" } },
        { Type: "tmpfs", Target: "/t", TmpfsOptions: { SizeBytes: 4096, Mode: 0o750 } },
      ],
    });
    expect(binds).toEqual([
      { source: "/a", target: "/x", readonly: true, propagation: "rslave", createSource: false, nonRecursive: false },
    ]);
    expect(tmpfs).toEqual({ "/t": "size=4096,mode=750" });
  });
});
