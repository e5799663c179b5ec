import { describe, expect, test } from "bun:test";
import type { RunConfig } from "../../../src/base/oci.ts";
import {
  type ContainerRequest,
  checkUlimit,
  DEFAULT_PATH,
  mergeConfig,
  mergeEnv,
  parseUlimit,
} from "../../../src/container/config.ts";

const merge = (image: RunConfig | undefined, request: Partial<ContainerRequest> = {}) =>
  mergeConfig(image, { image: "x", ...request }, "host");

describe("mergeConfig()", () => {
  test.each<[name: string, image: RunConfig, request: Partial<ContainerRequest>, entrypoint: string[], cmd: string[]]>([
    ["takes both from the image", { Entrypoint: ["e"], Cmd: ["c"] }, {}, ["e"], ["c"]],
    ["takes the request's command", { Entrypoint: ["e"], Cmd: ["c"] }, { cmd: ["r"] }, ["e"], ["r"]],
    [
      "drops the image's command with its entrypoint",
      { Entrypoint: ["e"], Cmd: ["c"] },
      { entrypoint: ["r"] },
      ["r"],
      [],
    ],
    ["takes both from the request", { Entrypoint: ["e"], Cmd: ["c"] }, { entrypoint: ["r"], cmd: ["s"] }, ["r"], ["s"]],
    [
      "clears the entrypoint with an empty word",
      { Entrypoint: ["e"], Cmd: ["c"] },
      { entrypoint: [""], cmd: ["s"] },
      [],
      ["s"],
    ],
    ["takes an empty command for none", { Cmd: ["c"] }, { cmd: [] }, [], ["c"]],
    [
      "keeps empty words that are among others",
      { Cmd: ["c"] },
      { entrypoint: ["printf", ""], cmd: ["", "a"] },
      ["printf", ""],
      ["", "a"],
    ],
  ])("mergeConfig() %s", (_, image, request, entrypoint, cmd) => {
    const merged = merge(image, request);
    expect([merged.entrypoint, merged.cmd]).toEqual([entrypoint, cmd]);
  });

  test.each<[name: string, image: RunConfig | undefined, request: Partial<ContainerRequest>]>([
    ["an image without a configuration", undefined, {}],
    ["nothing anywhere", {}, {}],
    ["an entrypoint that was cleared", { Entrypoint: ["e"], Cmd: ["c"] }, { entrypoint: [""] }],
    ["an empty entrypoint", { Entrypoint: ["e"] }, { entrypoint: [] }],
  ])("mergeConfig() throws when there is nothing to run: %s", (_, image, request) => {
    expect(() => merge(image, request)).toThrow("no command specified");
  });

  test("mergeConfig() lets the request win over the image in user, folder, signal and labels", () => {
    const image = { Cmd: ["c"], User: "i", WorkingDir: "/i", StopSignal: "SIGINT", Labels: { a: "i", b: "i" } };
    expect(merge(image)).toMatchObject({
      user: "i",
      workingDir: "/i",
      stopSignal: "SIGINT",
      labels: { a: "i", b: "i" },
    });
    const request = { user: "r", workingDir: "/r", stopSignal: "SIGHUP", labels: { b: "r", c: "r" } };
    expect(merge(image, request)).toMatchObject({
      user: "r",
      workingDir: "/r",
      stopSignal: "SIGHUP",
      labels: { a: "i", b: "r", c: "r" },
    });
  });

  test("mergeConfig() names the container as asked, or as given", () => {
    expect(merge({ Cmd: ["c"] }).hostname).toBe("host");
    expect(merge({ Cmd: ["c"] }, { hostname: "ship" }).hostname).toBe("ship");
  });

  test("mergeConfig() collects ports, volumes and triggers", () => {
    const image = { Cmd: ["c"], ExposedPorts: { "80/tcp": {} }, Volumes: { "/data": {} }, OnBuild: ["RUN x"] };
    expect(merge(image, { exposedPorts: ["80/tcp", "53/udp"] })).toMatchObject({
      exposedPorts: ["80/tcp", "53/udp"],
      volumes: ["/data"],
      onBuild: ["RUN x"],
    });
  });

  test("mergeConfig() refuses a folder that is not absolute, and a signal that does not exist", () => {
    expect(() => merge({ Cmd: ["c"] }, { workingDir: "x" })).toThrow("needs to be an absolute path");
    expect(() => merge({ Cmd: ["c"] }, { stopSignal: "SIGNOT" })).toThrow("nvalid signal: SIGNOT");
    expect(() => merge({ Cmd: ["c"], StopSignal: "999" })).toThrow("nvalid signal: 999");
  });
});

describe("mergeEnv()", () => {
  test.each<[base: string[], over: string[], result: string[]]>([
    [[], [], []],
    [["A=1"], ["B=2"], ["A=1", "B=2"]],
    [["A=1", "B=2"], ["A=3"], ["A=3", "B=2"]],
    [["A=1", "B=2"], ["A"], ["B=2"]],
    [["A=1"], ["A="], ["A="]],
    [["A=x=y"], ["B=p=q"], ["A=x=y", "B=p=q"]],
    [["A=1"], ["A=2", "A=3"], ["A=3"]],
    [["a=1"], ["A=2"], ["a=1", "A=2"]],
  ])("mergeEnv(%p, %p) is %p", (base, over, result) => {
    expect(mergeEnv(base, over)).toEqual(result);
  });

  test("mergeConfig() has a PATH unless image or request have one", () => {
    expect(merge({ Cmd: ["c"] }).env).toEqual([DEFAULT_PATH]);
    expect(merge({ Cmd: ["c"], Env: ["PATH=/i", "A=i"] }, { env: ["A=r"] }).env).toEqual(["PATH=/i", "A=r"]);
    expect(merge({ Cmd: ["c"], Env: ["PATH=/i"] }, { env: ["PATH=/r"] }).env).toEqual(["PATH=/r"]);
  });

  test("mergeConfig() keeps a name without a value, which the plan takes away", () => {
    expect(merge({ Cmd: ["c"], Env: ["PATH=/i", "A=i"] }, { env: ["A", "B"] }).env).toEqual(["PATH=/i", "A", "B"]);
  });
});

describe("parseUlimit()", () => {
  test.each([
    ["nofile=1024", { name: "nofile", soft: 1024, hard: 1024 }],
    ["nofile=1024:2048", { name: "nofile", soft: 1024, hard: 2048 }],
    ["core=0", { name: "core", soft: 0, hard: 0 }],
    ["memlock=-1:-1", { name: "memlock", soft: -1, hard: -1 }],
    ["nproc=5:-1", { name: "nproc", soft: 5, hard: -1 }],
  ])("parseUlimit(%p) is %p", (text, limit) => {
    expect(parseUlimit(text)).toEqual(limit);
  });

  test.each([
    "",
    "nofile",
    "nofile=",
    "nofile=a",
    "nofile=1:2:3",
    "NOFILE=1",
    "toString=1",
    "files=1",
    "nofile=2:1",
    "nofile=-1:5",
  ])("parseUlimit(%p) throws", (text) => {
    expect(() => parseUlimit(text)).toThrow(/ulimit/);
  });

  test("checkUlimit() takes names of limits only, not of what every object has", () => {
    expect(() => checkUlimit({ name: "constructor", soft: 1, hard: 1 })).toThrow("invalid ulimit type: constructor");
  });
});
