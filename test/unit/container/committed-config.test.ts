import { expect, test } from "bun:test";
import type { RunConfig } from "../../../src/base/oci.ts";
import { completed, runConfigOf } from "../../../src/container/committed-config.ts";
import { mergeConfig } from "../../../src/container/config.ts";
import { applyChanges } from "../../../src/image/changes.ts";

const image: RunConfig = {
  Env: ["LANG=C"],
  Cmd: ["sh"],
  Labels: { a: "image" },
  Healthcheck: { Test: ["CMD", "true"] },
  ExposedPorts: { "80/tcp": {} },
};

const own = runConfigOf(mergeConfig(image, { image: "x", env: ["B=2"], labels: { b: "run" } }, "host"), image);

test("runConfigOf() keeps what the image says and containers do not carry, and no search path that nobody asked for", () => {
  expect(own).toMatchObject({
    Env: ["LANG=C", "B=2"],
    Cmd: ["sh"],
    Labels: { a: "image", b: "run" },
    Healthcheck: { Test: ["CMD", "true"] },
    ExposedPorts: { "80/tcp": {} },
  });
  const withPath = { ...image, Env: ["PATH=/x"] };
  expect(runConfigOf(mergeConfig(withPath, { image: "x" }, "host"), withPath).Env).toEqual(["PATH=/x"]);
});

test("completed() takes the container's command along, but not for another entrypoint", () => {
  expect(completed(applyChanges(own, ["USER bob"]), own)).toMatchObject({ Cmd: ["sh"], User: "bob" });
  expect(completed(applyChanges(own, ['ENTRYPOINT ["/run"]']), own)).toMatchObject({ Entrypoint: ["/run"], Cmd: null });
  expect(completed({ Env: ["LANG=de"], Labels: { a: "new" } }, own)).toMatchObject({
    Env: ["LANG=de", "B=2"],
    Labels: { a: "new", b: "run" },
    Cmd: ["sh"],
    ExposedPorts: { "80/tcp": {} },
  });
});
