import { describe, expect, test } from "bun:test";
import { conflict, notFound } from "../../../src/base/errors.ts";
import { execFailure, startFailure } from "../../../src/container/failure.ts";
import type { Op } from "../../../src/runtime/ops.ts";
import { planError } from "../../../src/runtime/protocol.ts";

const ERRNO = { ENOENT: 2, EACCES: 13, ENOTDIR: 20, EISDIR: 21, EINVAL: 22, ENOEXEC: 8, EPERM: 1 } as const;
const failed = (op: Op, errno: keyof typeof ERRNO, detail = "") =>
  startFailure(planError([op], { index: 0, errno: ERRNO[errno], detail }));

describe("startFailure()", () => {
  /** What docker's command makes of a message: docker/cli, command/container/run.go. */
  const clientCode = (message: string): number => {
    if (/executable file not found|no such file or directory/.test(message)) return 127;
    return /permission denied|is a directory/.test(message) ? 126 : 125;
  };

  test.each<[op: Op, errno: keyof typeof ERRNO, detail: string, kind: string, code: number, client: number]>([
    [["exec", "nowhere"], "ENOENT", "executable file not found in $PATH", "invalid", 127, 127],
    [["exec", "/no/where"], "ENOENT", "", "invalid", 127, 127],
    [["exec", "/etc/passwd/x"], "ENOTDIR", "", "invalid", 127, 125],
    [["exec", "/plain"], "EACCES", "", "invalid", 126, 126],
    [["exec", "/folder"], "EISDIR", "", "invalid", 126, 126],
    [["exec", "/text"], "ENOEXEC", "", "invalid", 126, 125],
    [["cwd", "/private", "0"], "EACCES", "", "invalid", 126, 126],
    [["user", "ghost"], "EINVAL", "unable to find user ghost: no matching entries in passwd file", "invalid", 126, 125],
    [["sysctl", "kernel.x", "1"], "EINVAL", "", "invalid", 128, 125],
    [["bind", "/a", "/b", "0", "0", "1"], "ENOENT", "", "invalid", 128, 127],
    [["clone", "0"], "EPERM", "", "internal", 128, 125],
    [["overlay", "/r", "/u", "/w"], "EINVAL", "", "internal", 128, 125],
  ])("startFailure() of %p with %s", (op, errno, detail, kind, exitCode, client) => {
    const failure = failed(op, errno, detail);
    expect(failure.error.kind as string).toBe(kind);
    expect(failure.exitCode).toBe(exitCode);
    expect(clientCode(failure.error.message)).toBe(client);
    expect(failure.error.message).toStartWith(
      "failed to create task for container: unable to start container process: ",
    );
    if (detail !== "") expect(failure.error.message).toEndWith(detail);
  });

  test("startFailure() leaves errors of the domain as they are, and calls the rest internal", () => {
    const known = conflict("taken");
    expect(startFailure(known)).toEqual({ error: known, exitCode: 128 });
    expect(startFailure(new TypeError("x is not a function")).error).toMatchObject({
      kind: "internal",
      message: "x is not a function",
    });
  });

  test("startFailure() says what failed when it is an exec", () => {
    const thrown = planError([["exec", "x"]], { index: 0, errno: 2, detail: "" });
    expect(startFailure(thrown, "OCI runtime exec failed: exec failed").error.message).toStartWith(
      "OCI runtime exec failed: exec failed: ",
    );
  });
});

describe("execFailure()", () => {
  const failed = (...op: Op) => planError([op], { index: 0, errno: 3, detail: "" });

  test.each([
    ["a namespace that is gone", failed("join", "/proc/1/ns/net", "1"), "container c is not running"],
    ["a cgroup that is gone", failed("cgroup", "/x"), "container c is not running"],
    ["a run directory that is gone", notFound("task c has ended"), "container c is not running"],
    ["a kill before the program", failed("wait"), "container c ended the process before its program ran"],
  ])("%s is a conflict", (_, thrown, message) => {
    expect(execFailure(thrown, "c").error).toMatchObject({ kind: "conflict", message });
  });

  test("a program that is missing is what it is to a start", () => {
    const { error, exitCode } = execFailure(planError([["exec", "x"]], { index: 0, errno: 2, detail: "" }), "c");
    expect([error.kind, exitCode]).toEqual(["invalid", 127]);
    expect(error.message).toStartWith("OCI runtime exec failed: exec failed: unable to start container process: exec:");
  });
});
