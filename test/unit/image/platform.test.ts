import { describe, expect, test } from "bun:test";
import { digestOf } from "../../../src/base/digest.ts";
import { ociManifest } from "../../../src/base/media-types.ts";
import type { Descriptor, Platform } from "../../../src/base/oci.ts";
import { chooseManifest, formatPlatform, hostPlatform, parsePlatform, rank } from "../../../src/image/platform.ts";
import { failureOf } from "../../support/errors.ts";

/** An index entry, told apart by its digest. */
const entry = (platform: string | undefined, more: Partial<Descriptor> = {}): Descriptor => {
  const [os = "", architecture = "", variant] = (platform ?? "").split("/");
  const written: Platform = { os, architecture, ...(variant !== undefined && { variant }) };
  const digest = digestOf(JSON.stringify([platform, more]));
  return { mediaType: ociManifest, digest, size: 1, ...(platform !== undefined && { platform: written }), ...more };
};
const written = ({ platform }: Descriptor): string | undefined =>
  platform && [platform.os, platform.architecture, platform.variant].filter((word) => word !== undefined).join("/");
const choose = (machine: string, offered: readonly (string | undefined)[]): string | undefined =>
  written(
    chooseManifest(
      { schemaVersion: 2, mediaType: "", manifests: offered.map((one) => entry(one)) },
      parsePlatform(machine),
    ),
  );

describe("parsePlatform()", () => {
  test.each([
    ["linux/amd64", "linux/amd64"],
    ["linux/x86_64", "linux/amd64"],
    ["linux/AARCH64", "linux/arm64/v8"],
    ["linux/arm64/v8", "linux/arm64/v8"],
    ["linux/arm64", "linux/arm64/v8"],
    ["linux/arm", "linux/arm/v7"],
    ["linux/armel", "linux/arm/v6"],
    ["linux/arm/6", "linux/arm/v6"],
    ["linux/amd64/v1", "linux/amd64"],
    ["linux/amd64/v3", "linux/amd64/v3"],
    ["linux/i386", "linux/386"],
  ])("%s is %s", (text, expected) => {
    expect(formatPlatform(parsePlatform(text))).toBe(expected);
  });

  test("fills in what is left out from the machine", () => {
    expect(parsePlatform("linux")).toEqual({ ...hostPlatform(), os: "linux" });
    expect(parsePlatform("s390x")).toEqual({ os: hostPlatform().os, architecture: "s390x" });
  });

  test.each(["", "/", "linux/", "a/b/c/d", "linux/am d64", "linux/a\n"])("refuses %j", async (text) => {
    expect(await failureOf(() => parsePlatform(text))).toStartWith("invalid: invalid platform");
  });
});

describe("chooseManifest() takes", () => {
  test.each<[string, (string | undefined)[], string | undefined]>([
    ["linux/amd64", ["linux/arm64", "linux/amd64"], "linux/amd64"],
    ["linux/amd64", ["linux/386", "linux/amd64"], "linux/amd64"],
    ["linux/amd64", ["windows/amd64", "linux/386"], "linux/386"],
    ["linux/amd64", ["linux/amd64/v2", "linux/amd64"], "linux/amd64"],
    ["linux/amd64/v3", ["linux/amd64", "linux/amd64/v2", "linux/amd64/v4"], "linux/amd64/v2"],
    ["linux/arm64", ["linux/arm/v7", "linux/arm64/v8"], "linux/arm64/v8"],
    ["linux/arm64", ["linux/arm/v6", "linux/arm/v7"], "linux/arm/v7"],
    ["linux/arm/v7", ["linux/arm/v6", "linux/arm/v5", "linux/arm/v8"], "linux/arm/v6"],
    ["linux/arm/v6", ["linux/arm/v5", "linux/arm/v7"], "linux/arm/v5"],
    ["linux/amd64", ["unknown/unknown", "linux/amd64"], "linux/amd64"],
    ["linux/amd64", [undefined, "linux/amd64"], "linux/amd64"],
    ["linux/amd64", ["linux/arm64", undefined], undefined],
    ["linux/riscv64", ["linux/amd64", "linux/riscv64"], "linux/riscv64"],
  ])("for %s of %j", (machine, offered, expected) => {
    expect(choose(machine, offered)).toBe(expected as string);
  });

  test("the first of equals", () => {
    const [first, second] = [entry("linux/amd64"), entry("linux/amd64", { annotations: { n: "2" } })];
    const index = { schemaVersion: 2, mediaType: "", manifests: [first, second] } as const;
    expect(chooseManifest(index, parsePlatform("linux/amd64"))).toBe(first);
  });
});

test.each([
  ["linux/arm64/v8", ["linux/amd64"], "linux/arm64/v8"],
  ["linux/amd64", ["linux/arm64", "unknown/unknown"], "linux/amd64"],
  ["linux/arm/v5", ["linux/arm/v7"], "linux/arm/v5"],
  ["linux/amd64", [], "linux/amd64"],
])("chooseManifest() for %s of %j fails in Docker's words", async (machine, offered, named) => {
  expect(await failureOf(() => choose(machine, offered))).toBe(
    `notFound: no matching manifest for ${named} in the manifest list entries`,
  );
});

test("rank() is undefined for what does not run", () => {
  expect(rank(parsePlatform("linux/arm/v6"), { os: "linux", architecture: "arm64" })).toBeUndefined();
  expect(rank(parsePlatform("linux/amd64"), { os: "linux", architecture: "amd64" })).toBe(0);
});
