import { expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { imageOf } from "../../../fixture/image.ts";
import { parseReference } from "../../../src/base/reference.ts";
import { DistributionRegistry } from "../../../src/registry/distribution.ts";
import { Proxies } from "../../../src/registry/proxies.ts";
import { defaultLimits, Transport } from "../../../src/registry/transport.ts";
import { failureOf } from "../../support/errors.ts";
import { impatient } from "../../support/images.ts";

const image = imageOf();

/** A registry of one manifest that shows a certificate nobody signed. */
async function selfSigned(): Promise<{ port: number } & AsyncDisposable> {
  const folder = await mkdtemp(join(tmpdir(), "bosun-tls-"));
  const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")];
  const subject = ["-subj", "/CN=localhost", "-days", "1", "-keyout", key, "-out", cert];
  await Bun.spawn(
    ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", ...subject],
    {
      stderr: "ignore",
    },
  ).exited;
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    tls: { key: Bun.file(key), cert: Bun.file(cert) },
    fetch: (request) =>
      new URL(request.url).pathname === "/v2/"
        ? new Response("{}")
        : new Response(new Uint8Array(image.manifest.bytes), {
            headers: { "content-type": image.manifest.descriptor.mediaType },
          }),
  });
  return {
    port: server.port ?? 0,
    [Symbol.asyncDispose]: async () => {
      await server.stop(true);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

test("a registry on loopback may speak TLS with a certificate that nobody signed", async () => {
  await using server = await selfSigned();
  const registry = new DistributionRegistry({ userAgent: "Bosun/test", limits: impatient });
  const { descriptor } = await registry.document(parseReference(`127.0.0.1:${server.port}/app:v1`));
  expect(descriptor.digest).toBe(image.manifest.descriptor.digest);
});

test("such a certificate is refused where the host is not declared insecure", async () => {
  await using server = await selfSigned();
  const transport = new Transport({ ...defaultLimits, ...impatient }, "Bosun/test", new Proxies());
  const url = new URL(`https://127.0.0.1:${server.port}/v2/`);
  const call = () => transport.send({ method: "GET", url, trust: { insecure: false, direct: true } });
  expect(await failureOf(call)).toBe(
    `unavailable: Get "${url.href}": tls: failed to verify certificate: x509: certificate signed by unknown authority`,
  );
});
