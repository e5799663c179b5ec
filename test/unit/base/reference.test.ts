import { describe, expect, test } from "bun:test";
import { BosunError } from "../../../src/base/errors.ts";
import {
  familiarReference,
  formatReference,
  matchesReference,
  parseIdOrReference,
  parseReference,
  withDefaultTag,
  withTagOrDigest,
} from "../../../src/base/reference.ts";

const hex = "0123456789abcdef".repeat(4);
const digest = `sha256:${hex}`;

/** Parses and returns the error's kind and text. */
function refusal(parse: () => unknown): string {
  try {
    parse();
  } catch (error) {
    if (error instanceof BosunError) return `${error.kind}: ${error.message}`;
    throw error;
  }
  return "accepted";
}

describe("parseReference() normalises", () => {
  test.each([
    ["busybox", "docker.io/library/busybox", "busybox"],
    ["busybox:1.36", "docker.io/library/busybox:1.36", "busybox:1.36"],
    [`busybox@${digest}`, `docker.io/library/busybox@${digest}`, `busybox@${digest}`],
    [`busybox:1@${digest}`, `docker.io/library/busybox:1@${digest}`, `busybox:1@${digest}`],
    ["library/busybox", "docker.io/library/busybox", "busybox"],
    ["docker.io/busybox", "docker.io/library/busybox", "busybox"],
    ["index.docker.io/busybox", "docker.io/library/busybox", "busybox"],
    ["index.docker.io/someone/app:x", "docker.io/someone/app:x", "someone/app:x"],
    ["docker.io/library/a/b", "docker.io/library/a/b", "library/a/b"],
    ["localhost/app", "localhost/app", "localhost/app"],
    ["localhost:5000/app:v1", "localhost:5000/app:v1", "localhost:5000/app:v1"],
    ["127.0.0.1:5000/a/b/c:v1", "127.0.0.1:5000/a/b/c:v1", "127.0.0.1:5000/a/b/c:v1"],
    ["[::1]:5000/app", "[::1]:5000/app", "[::1]:5000/app"],
    ["Registry/app", "Registry/app", "Registry/app"],
    ["registry.example/a__b/c-d.e:V_1.-", "registry.example/a__b/c-d.e:V_1.-", "registry.example/a__b/c-d.e:V_1.-"],
    ["a---b", "docker.io/library/a---b", "a---b"],
    ["localhost:5000", "docker.io/library/localhost:5000", "localhost:5000"],
    [`${hex.slice(1)}`, `docker.io/library/${hex.slice(1)}`, hex.slice(1)],
  ])("%s", (text, full, familiar) => {
    const reference = parseReference(text);
    expect(formatReference(reference)).toBe(full);
    expect(familiarReference(reference)).toBe(familiar);
    expect(formatReference(parseReference(familiar))).toBe(full);
  });
});

describe("parseReference() refuses", () => {
  const lowercase = (name: string) => `invalid: invalid reference format: repository name (${name}) must be lowercase`;
  const malformed = "invalid: invalid reference format";
  test.each([
    ["", malformed],
    ["Busybox", lowercase("library/Busybox")],
    ["someone/App:tag", lowercase("someone/App")],
    ["docker.io/Some/app", lowercase("Some/app")],
    [hex, `invalid: invalid repository name (${hex}), cannot specify 64-byte hexadecimal strings`],
    [":tag", malformed],
    ["a:", malformed],
    ["a@", malformed],
    ["a/", malformed],
    ["/a", malformed],
    ["a//b", malformed],
    ["a..b", malformed],
    ["a___b", malformed],
    ["-a", malformed],
    ["a-", malformed],
    ["a b", malformed],
    ["a\n", malformed],
    ["a:tag\n", malformed],
    ["../../etc/passwd", malformed],
    ["reg.io/../x", malformed],
    ["http://reg.io/x", malformed],
    ["a:.tag", malformed],
    [`a:${"t".repeat(129)}`, malformed],
    ["a@sha256:1234", malformed],
    ["[::1/a", malformed],
    ["ümlaut", malformed],
    ["a".repeat(2000), malformed],
    ["x.y/".repeat(300), malformed],
    [`x.y/${"a".repeat(256)}`, "invalid: repository name must not be more than 255 characters"],
  ])("%j", (text, message) => {
    expect(refusal(() => parseReference(text))).toBe(message);
  });

  test("a digest of another length or algorithm", () => {
    expect(refusal(() => parseReference(`a@sha256:${"a".repeat(40)}`))).toStartWith("invalid: invalid digest");
    expect(refusal(() => parseReference(`a@sha512:${"a".repeat(128)}`))).toStartWith("invalid: invalid digest");
  });

  test("a name made to backtrack, in no time", () => {
    const before = process.cpuUsage();
    expect(refusal(() => parseReference(`${"a-".repeat(400)}!`))).toBe(malformed);
    expect(refusal(() => parseReference(`${"a".repeat(900)}./x`))).toBe(malformed);
    expect(process.cpuUsage(before).user / 1000).toBeLessThan(500); // whatever else the machine does meanwhile
  });
});

test("withDefaultTag() adds latest unless a tag or digest is there", () => {
  expect(withDefaultTag(parseReference("a")).tag).toBe("latest");
  expect(withDefaultTag(parseReference("a:b")).tag).toBe("b");
  expect(withDefaultTag(parseReference(`a@${digest}`)).tag).toBeUndefined();
});

test("withTagOrDigest() replaces what the name says when the tag parameter says something", () => {
  const reference = parseReference("a:old");
  expect(familiarReference(withTagOrDigest(reference, ""))).toBe("a:old");
  expect(familiarReference(withTagOrDigest(reference, "new"))).toBe("a:new");
  expect(familiarReference(withTagOrDigest(reference, digest))).toBe(`a@${digest}`);
  expect(refusal(() => withTagOrDigest(reference, "-x"))).toBe("invalid: invalid tag format");
  expect(refusal(() => withTagOrDigest(reference, "sha256:12"))).toStartWith("invalid: invalid digest");
});

test("parseIdOrReference() tells full ids from names", () => {
  expect(parseIdOrReference(hex)).toEqual({ id: `sha256:${hex}` });
  expect(parseIdOrReference(digest)).toEqual({ id: `sha256:${hex}` });
  expect(parseIdOrReference("abc")).toEqual({ reference: { domain: "docker.io", path: "library/abc" } });
});

describe("matchesReference() matches as path.Match on the familiar form", () => {
  test.each([
    ["busybox", "busybox:latest", true],
    ["busybox:*", "busybox:latest", true],
    ["busy*", "busybox:latest", true],
    ["*", "busybox:latest", true],
    ["*", "someone/app:latest", false],
    ["*/*", "someone/app:latest", true],
    ["*/*:l?t[a-e]st", "someone/app:latest", true],
    ["*:[^l]*", "busybox:latest", false],
    ["docker.io/library/busybox", "busybox:latest", false],
    ["b*x*:la*t", "busybox:latest", true],
    ["b*z", "busybox:latest", false],
    ["\\b*", "busybox:latest", true],
  ])("%s on %s", (pattern, name, expected) => {
    expect(matchesReference(pattern, parseReference(name))).toBe(expected);
  });

  test.each([["["], ["[]a]"], ["[a-]"], ["a["], ["[^"], ["\\"]])("%j is malformed", (pattern) => {
    expect(refusal(() => matchesReference(pattern, parseReference("a:b")))).toBe("invalid: syntax error in pattern");
  });
});
