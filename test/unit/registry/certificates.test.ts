import { expect, test } from "bun:test";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { certificatesFor } from "../../../src/registry/certificates.ts";
import { failureOf } from "../../support/errors.ts";
import { makeFolder } from "../../support/folder.ts";

test("certificatesFor() reads a host's authorities and its client pair; the last folder counts", async () => {
  await using folder = await makeFolder();
  const [docker, ours] = [join(folder.path, "docker"), join(folder.path, "ours")];
  await mkdir(join(docker, "reg.example:5000"), { recursive: true });
  await Bun.write(join(docker, "reg.example:5000", "ca.crt"), "AUTHORITY");
  await Bun.write(join(docker, "reg.example:5000", "client.cert"), "CERT");
  await Bun.write(join(docker, "reg.example:5000", "client.key"), "KEY");
  const found = await certificatesFor("reg.example:5000", [docker, ours]);
  expect(found?.ca?.at(-1)).toBe("AUTHORITY");
  expect(found?.ca?.length).toBeGreaterThan(1); // beside the usual ones
  expect(found).toMatchObject({ cert: "CERT", key: "KEY" });
  expect(await certificatesFor("reg.example", [docker, ours])).toBeUndefined();
  await Bun.write(join(ours, "reg.example:5000", "ca.crt"), "OURS");
  expect((await certificatesFor("reg.example:5000", [docker, ours]))?.ca?.at(-1)).toBe("OURS");
});

test("certificatesFor() wants a key beside a certificate, and no host that leads elsewhere", async () => {
  await using folder = await makeFolder();
  await Bun.write(join(folder.path, "reg.example", "client.cert"), "CERT");
  expect(await failureOf(() => certificatesFor("reg.example", [folder.path]))).toBe(
    "invalid: missing key client.key for client certificate client.cert",
  );
  expect(await certificatesFor("../reg.example", [folder.path])).toBeUndefined();
  expect(await certificatesFor("..", [folder.path])).toBeUndefined();
});
