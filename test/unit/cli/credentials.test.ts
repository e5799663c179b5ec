/** The client's credentials in docker's own file, and in a helper that a test wrote. */

import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CredentialStore, HUB, serverKey } from "../../../src/cli/credentials.ts";

/** Keeps each secret in a file named after its server. Source: docker-credential-helpers, README, "Development". */
const HELPER = `#!/bin/sh
cd "$(dirname "$0")"
input=$(cat)
case $1 in
get) file=kept-$(echo "$input" | tr / _); [ -e "$file" ] && cat "$file" || { echo "credentials not found in native keychain"; exit 1; } ;;
store) server=$(echo "$input" | sed 's/.*"ServerURL":"\\([^"]*\\)".*/\\1/'); echo "$input" > "kept-$(echo "$server" | tr / _)" ;;
erase) rm -f "kept-$(echo "$input" | tr / _)" ;;
esac
`;

let folder = "";
const path = process.env.PATH;
const config = () => JSON.parse(readFileSync(join(folder, "config.json"), "utf8"));
const write = (document: object) => writeFileSync(join(folder, "config.json"), JSON.stringify(document));

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "bosun-credentials-"));
  writeFileSync(join(folder, "docker-credential-test"), HELPER, { mode: 0o755 });
  writeFileSync(join(folder, "docker-credential-broken"), "#!/bin/sh\necho it is locked\nexit 3\n", { mode: 0o755 });
  process.env.PATH = `${folder}:${path}`;
});
afterEach(() => {
  process.env.PATH = path;
  rmSync(folder, { recursive: true });
});

test("without a helper they are in the file, which only its owner can read, beside what else is there", () => {
  write({ HttpHeaders: { "X-Meta": "kept" } });
  const store = new CredentialStore(folder);
  expect(store.store("r.example:5000", { username: "ann", password: "a:b" })).toBe(true);
  expect(config()).toEqual({
    HttpHeaders: { "X-Meta": "kept" },
    auths: { "r.example:5000": { auth: Buffer.from("ann:a:b").toString("base64") } },
  });
  expect(statSync(store.path).mode & 0o777).toBe(0o600);
  const found = { username: "ann", password: "a:b", serveraddress: "r.example:5000" };
  expect(new CredentialStore(folder).get("r.example:5000")).toEqual(found);
  expect(store.get("other.example")).toBeUndefined();
});

test("with a helper the file has no secret, and what the helper keeps comes back, tokens as tokens", () => {
  write({ credsStore: "test" });
  const store = new CredentialStore(folder);
  expect(store.store("r.example", { username: "ann", password: "secret" })).toBe(false);
  store.store(HUB, { username: "ann", identitytoken: "t0ken" });
  expect(JSON.stringify(config())).not.toMatch(/secret|t0ken|YW5u/);
  const again = new CredentialStore(folder);
  expect(again.get("r.example")).toEqual({ username: "ann", password: "secret", serveraddress: "r.example" });
  expect(again.get(HUB)).toEqual({ identitytoken: "t0ken", serveraddress: HUB });
  expect(again.get("nothing.example")).toBeUndefined();
});

test("a server may have a helper of its own", () => {
  write({ credsStore: "broken", credHelpers: { "r.example": "test" } });
  const store = new CredentialStore(folder);
  store.store("r.example", { username: "bob", password: "p" });
  expect(store.get("r.example")).toMatchObject({ username: "bob" });
  expect(() => store.get("other.example")).toThrow("exit status 3, out: `it is locked`");
});

test("a helper that is not installed is named", () => {
  write({ credsStore: "nowhere" });
  expect(() => new CredentialStore(folder).get("r.example")).toThrow("docker-credential-nowhere");
});

test("serverKey() knows the names of Docker Hub, and takes hosts of URLs", () => {
  expect([undefined, "docker.io", "index.docker.io", HUB].map(serverKey)).toEqual([HUB, HUB, HUB, HUB]);
  expect(serverKey("https://r.example:5000/v2/")).toBe("r.example:5000");
});
