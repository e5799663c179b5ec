import { describe, expect, test } from "bun:test";
import { appArmorProfile, parseSecurity } from "../../../src/container/security.ts";

const BARE = { noNewPrivileges: false, hasAppArmor: false };
const WITH_APPARMOR = { noNewPrivileges: false, hasAppArmor: true };

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
    expect(parseSecurity(options, BARE)).toEqual({ noNewPrivileges, seccomp });
  });

  test("parseSecurity() begins with the daemon's setting, which a container may lift", () => {
    expect(parseSecurity([], { ...BARE, noNewPrivileges: true }).noNewPrivileges).toBe(true);
    expect(parseSecurity(["no-new-privileges=false"], { ...BARE, noNewPrivileges: true }).noNewPrivileges).toBe(false);
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
    expect(() => parseSecurity([option], BARE)).toThrow("invalid --security-opt");
  });

  test("parseSecurity() takes profiles of AppArmor where the host has it", () => {
    expect(parseSecurity(["apparmor=mine"], WITH_APPARMOR)).toEqual({ noNewPrivileges: false, seccomp: "default" });
    expect(() => parseSecurity(["apparmor="], WITH_APPARMOR)).toThrow("invalid --security-opt");
  });
});

test.each<[options: string[], privileged: boolean, has: boolean, profile: string]>([
  [[], false, true, "docker-default"],
  [[], true, true, "unconfined"],
  [["apparmor=mine"], false, true, "mine"],
  [["apparmor:mine"], true, true, "mine"],
  [["apparmor=mine", "apparmor=unconfined"], false, true, "unconfined"],
  [[], false, false, ""],
  [["apparmor=unconfined"], false, false, ""],
])("appArmorProfile(%p, privileged %p, on a host with it %p)", (options, privileged, hasAppArmor, profile) => {
  expect(appArmorProfile(options, privileged, { ...BARE, hasAppArmor })).toBe(profile);
});
