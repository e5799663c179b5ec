/** docker-py, whose views of inspect, frames and archives are its own. All of it: `bun test/support/docker-py.ts`. */

import { expect, test } from "bun:test";
import { python, quickTests } from "../support/docker-py.ts";
import { e2e } from "../support/e2e.ts";

if (!python)
  console.log("docker-py's view is not tested: it needs docker and pytest (Debian: python3-docker, python3-pytest)");

e2e("docker-py", (engine) => {
  test.if(python !== undefined)("finds what it looks for", async () => {
    const { code, output } = await quickTests(engine.daemon);
    expect(code === 0 ? "" : output).toBe("");
  });
});
