import { describe, expect, test } from "bun:test";
import { parseSecurity } from "../../../src/container/security.ts";

describe("parseSecurity()", () => {
  test.each<[options: string[], noNewPrivileges: boolean, seccomp: string]>([
    [[], false, "default"],
    [["no-new-privileges"], true, "default"],
    [["no-new-privileges:true"], true, "default"],
    [["no-new-privileges=true"], true, "default"],
    [["no-new-privileges=false"], false, "default"],
    [["seccomp=unconfined"], false, "unconfined"],
    [["seccomp:unconfined"], false, "unconfined"],
    [["seccomp=builtin"], false, "default"],
    [['seccomp={"a":"b=c:d",\n"e":1}'], false, '{"a":"b=c:d",\n"e":1}'],
    [["label=disable", "apparmor=unconfined", "no-new-privileges"], true, "default"],
  ])("parseSecurity(%p)", (options, noNewPrivileges, seccomp) => {
    expect(parseSecurity(options, false)).toEqual({ noNewPrivileges, seccomp });
  });

  test("parseSecurity() begins with the daemon's setting, which a container may lift", () => {
    expect(parseSecurity([], true).noNewPrivileges).toBe(true);
    expect(parseSecurity(["no-new-privileges=false"], true).noNewPrivileges).toBe(false);
  });

  test.each([
    "",
    "no-new-privileges=maybe",
    "seccomp",
    "seccomp=",
    "label=type:x",
    "apparmor=docker-default",
    "systempaths=x",
    "=x",
    "colour=red",
  ])("parseSecurity() refuses %p", (option) => {
    expect(() => parseSecurity([option], false)).toThrow("invalid --security-opt");
  });
});
