import { describe, expect, test } from "bun:test";
import { parseCdiName, toCdiSpec } from "../../../src/container/cdi-spec.ts";
import type { DeviceRequest } from "../../../src/container/config.ts";
import { requestedDevices } from "../../../src/container/device-requests.ts";

const spec = (more: object = {}) => ({
  cdiVersion: "0.6.0",
  kind: "vendor.com/class",
  devices: [{ name: "0" }],
  ...more,
});
const edits = (containerEdits: object) => toCdiSpec(spec({ containerEdits })).edits;

test.each([
  ["nvidia.com/gpu=0", { kind: "nvidia.com/gpu", name: "0" }],
  ["nvidia.com/gpu=GPU-1:2", { kind: "nvidia.com/gpu", name: "GPU-1:2" }],
  ["/dev/x", undefined],
  ["/dev/x=y", undefined],
  ["nvidia.com/gpu=", undefined],
  ["gpu=0", undefined],
])("parseCdiName(%p)", (text, name) => {
  expect(parseCdiName(text)).toEqual(name as never);
});

describe("toCdiSpec()", () => {
  test("toCdiSpec() reads edits of the file and of each device", () => {
    const read = toCdiSpec(
      spec({
        containerEdits: { env: ["A=1"] },
        devices: [
          {
            name: "one",
            containerEdits: {
              deviceNodes: [{ path: "/dev/x", hostPath: "/dev/y", fileMode: 438, uid: 5, permissions: "r" }],
              mounts: [{ hostPath: "/lib/x", containerPath: "/y", options: ["ro", "nosuid", "rbind"] }],
              additionalGids: [44],
            },
          },
          { name: "two" },
        ],
      }),
    );
    expect(read.edits.env).toEqual(["A=1"]);
    expect([...read.devices.keys()]).toEqual(["one", "two"]);
    expect(read.devices.get("one")).toEqual({
      env: [],
      nodes: [{ path: "/dev/x", hostPath: "/dev/y", permissions: "r", mode: 0o666, uid: 5 }],
      mounts: [{ hostPath: "/lib/x", containerPath: "/y", options: ["ro", "nosuid", "rbind"] }],
      gids: [44],
      hooks: [],
      impossible: [],
    });
  });

  test.each([
    [{ hooks: [{ hookName: "poststop", path: "/bin/x" }] }, "poststop hooks"],
    [{ intelRdt: { closID: "x" } }, "intelRdt"],
    [{ mounts: [{ hostPath: "/a", containerPath: "/b", type: "tmpfs" }] }, "mounts of type tmpfs"],
    [{ mounts: [{ hostPath: "/a", containerPath: "/b", options: ["sync"] }] }, "the mount option sync"],
  ])("toCdiSpec() of %j says what cannot be done", (containerEdits, impossible) => {
    expect(edits(containerEdits).impossible).toEqual([impossible]);
  });

  test.each<[document: unknown, words: string]>([
    [[], "the document must be an object"],
    [spec({ cdiVersion: 1 }), "cdiVersion must be a string"],
    [spec({ kind: "gpu" }), "kind must be as vendor.com/class"],
    [spec({ devices: {} }), "devices must be a list"],
    [spec({ devices: [{ name: "-" }] }), "devices[0].name must be a device's name"],
    [spec({ devices: [{ name: "0" }, { name: "0" }] }), "devices[1].name must be another"],
    [spec({ containerEdits: { env: [1] } }), "containerEdits.env[0] must be a string"],
    [spec({ containerEdits: { deviceNodes: [{ path: "x" }] } }), "deviceNodes[0].path must be an absolute path"],
    [spec({ containerEdits: { additionalGids: [-1] } }), "additionalGids[0] must be a number"],
  ])("toCdiSpec(%j) throws", (document, words) => {
    expect(() => toCdiSpec(document)).toThrow(words);
  });
});

describe("requestedDevices()", () => {
  const request = (more: Partial<DeviceRequest>): DeviceRequest => ({
    ...{ driver: "", count: 0, ids: [], capabilities: [["gpu"]], options: {} },
    ...more,
  });
  const nvidia = ["nvidia.com/gpu=0", "nvidia.com/gpu=1", "nvidia.com/gpu=all"];

  test.each<[more: Partial<DeviceRequest>, known: readonly string[], names: readonly string[]]>([
    [{ count: -1 }, nvidia, ["nvidia.com/gpu=all"]],
    [{ count: -1 }, ["amd.com/gpu=0", "amd.com/gpu=1"], ["amd.com/gpu=0", "amd.com/gpu=1"]],
    [{ count: 2, driver: "nvidia" }, nvidia, ["nvidia.com/gpu=0", "nvidia.com/gpu=1"]],
    [{ ids: ["1", "GPU-x"] }, nvidia, ["nvidia.com/gpu=1", "nvidia.com/gpu=GPU-x"]],
    [{ driver: "cdi", ids: ["a.b/c=d"], capabilities: [] }, [], ["a.b/c=d"]],
  ])("requestedDevices(%j)", (more, known, names) => {
    expect(requestedDevices(request(more), known)).toEqual(names);
  });

  test.each<[more: Partial<DeviceRequest>, words: string]>([
    [{ count: -1 }, 'could not select device driver "" with capabilities: [[gpu]]'],
    [{ driver: "x", capabilities: [["gpu", "a"], ["b"]] }, 'device driver "x" with capabilities: [[gpu a] [b]]'],
    [{ count: 1, ids: ["0"] }, "cannot set both Count and DeviceIDs on device request"],
    [{ driver: "cdi", count: 1 }, "invalid CDI device request"],
  ])("requestedDevices(%j) throws", (more, words) => {
    expect(() => requestedDevices(request(more), [])).toThrow(words);
  });
});
