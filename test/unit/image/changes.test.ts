import { describe, expect, test } from "bun:test";
import type { RunConfig } from "../../../src/base/oci.ts";
import { applyChanges } from "../../../src/image/changes.ts";
import { parseInstructions } from "../../../src/image/instruction.ts";
import { failureOf } from "../../support/errors.ts";

const BASE: RunConfig = { Env: ["PATH=/bin", "HOME=/root"], Cmd: ["old"], WorkingDir: "/srv" };

describe("applyChanges() of", () => {
  test.each<[changes: string | string[], expected: RunConfig]>([
    ['CMD ["a", "b c"]', { Cmd: ["a", "b c"] }],
    ["CMD echo $HOME", { Cmd: ["/bin/sh", "-c", "echo $HOME"] }],
    ["cmd exec x", { Cmd: ["/bin/sh", "-c", "exec x"] }],
    ['CMD ["a", b]', { Cmd: ["/bin/sh", "-c", '["a", b]'] }],
    ['ENTRYPOINT ["/run"]', { Entrypoint: ["/run"], Cmd: null }],
    [['CMD ["x"]', 'ENTRYPOINT ["/run"]'], { Entrypoint: ["/run"], Cmd: ["x"] }],
    [['SHELL ["/bin/bash", "-ec"]', "CMD one"], { Shell: ["/bin/bash", "-ec"], Cmd: ["/bin/bash", "-ec", "one"] }],
    ["ENV A=1 B=two", { Env: ["PATH=/bin", "HOME=/root", "A=1", "B=two"] }],
    ["ENV A some words", { Env: ["PATH=/bin", "HOME=/root", "A=some words"] }],
    ["ENV PATH=/opt:$PATH", { Env: ["PATH=/opt:/bin", "HOME=/root"] }],
    [
      `ENV A="x  y" B='$HOME' C=\\$HOME D=a\\ b`,
      { Env: [...(BASE.Env ?? []), "A=x  y", "B=$HOME", "C=$HOME", "D=a b"] },
    ],
    [
      `ENV A=\${HOME} B=\${NONE:-d} C=\${HOME:+set} D=\${NONE}`,
      { Env: [...(BASE.Env ?? []), "A=/root", "B=d", "C=set", "D="] },
    ],
    ["ENV A=1 B=$A", { Env: [...(BASE.Env ?? []), "A=1", "B="] }], // variables of the same line are not set yet
    [["ENV A=1", "ENV B=$A"], { Env: [...(BASE.Env ?? []), "A=1", "B=1"] }],
    [
      "EXPOSE 80 53/udp 8000-8002",
      { ExposedPorts: { "80/tcp": {}, "53/udp": {}, "8000/tcp": {}, "8001/tcp": {}, "8002/tcp": {} } },
    ],
    ["LABEL a=1 \"b c\"='d e'", { Labels: { a: "1", "b c": "d e" } }],
    ["LABEL key all of it", { Labels: { key: "all of it" } }],
    ["ONBUILD RUN make", { OnBuild: ["RUN make"] }],
    ["STOPSIGNAL SIGUSR1", { StopSignal: "SIGUSR1" }],
    ["USER $HOME", { User: "/root" }],
    ['VOLUME ["/a", "/b b"]', { Volumes: { "/a": {}, "/b b": {} } }],
    ["VOLUME /a /b", { Volumes: { "/a": {}, "/b": {} } }],
    ["WORKDIR app", { WorkingDir: "/srv/app" }],
    [["WORKDIR /x", "WORKDIR ../y"], { WorkingDir: "/y" }],
    ["HEALTHCHECK NONE", { Healthcheck: { Test: ["NONE"] } }],
    ["HEALTHCHECK CMD curl x || exit 1", { Healthcheck: { Test: ["CMD-SHELL", "curl x || exit 1"] } }],
    [
      'HEALTHCHECK --interval=1m30s --timeout=5s --retries=3 --start-period=1s CMD ["a", "b"]',
      { Healthcheck: { Test: ["CMD", "a", "b"], Interval: 90e9, Timeout: 5e9, StartPeriod: 1e9, Retries: 3 } },
    ],
    ["# nothing\n\nUSER a \\\n  # but this\n", { User: "a" }],
  ])("%j", (changes, expected) => {
    expect(applyChanges(BASE, [changes].flat())).toEqual({ ...BASE, ...expected });
  });

  test.each<[change: string, words: string]>([
    ["RUN x", "RUN is not a valid change command"],
    ["FROM scratch", "FROM is not a valid change command"],
    ["constructor x", "CONSTRUCTOR is not a valid change command"],
    ["CMD", "CMD requires at least one argument"],
    ["ENV A=1 B", 'Syntax error - can\'t find = in "B". Must be of the form: name=value'],
    ["ENV =x", "ENV names can not be blank"],
    ["ENV A", "ENV must have two arguments"],
    ['ENV A="x', "unexpected end of statement while looking for matching double-quote"],
    [`ENV A=\${x`, "syntax error: missing '}'"],
    [`ENV A=${"${a:-".repeat(100)}x${"}".repeat(100)}`, "failed to process: variables are nested too deeply"],
    ["EXPOSE 70000", "invalid containerPort: 70000"],
    ["EXPOSE 90-80", "invalid containerPort: 90-80"],
    ["STOPSIGNAL NOPE", "invalid signal: NOPE"],
    ["ONBUILD ONBUILD RUN x", "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"],
    ["ONBUILD FROM x", "FROM isn't allowed as an ONBUILD trigger"],
    ["SHELL bash", "SHELL requires the arguments to be in JSON form"],
    ["HEALTHCHECK RUN x", 'Unknown type "RUN" in HEALTHCHECK (try CMD)'],
    ["HEALTHCHECK CMD", "Missing command after HEALTHCHECK CMD"],
    ["HEALTHCHECK --interval=1us CMD x", 'Interval "interval" cannot be less than 1ms'],
    ["HEALTHCHECK --often=1 CMD x", "unknown flag: often"],
    ['VOLUME ["/a", ""]', "VOLUME specified can not be an empty string"],
  ])("%j is refused", async (change, words) => {
    expect(await failureOf(async () => applyChanges(BASE, [change]))).toBe(`invalid: ${words}`);
  });
});

test("parseInstructions() joins continued lines and leaves comments out", () => {
  expect(parseInstructions("# head\nenv a=1 \\\n  # inside\n  b=2\n\nCMD x\\\n")).toEqual([
    { name: "ENV", text: "a=1   b=2" },
    { name: "CMD", text: "x" },
  ]);
});
