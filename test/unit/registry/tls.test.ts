import { expect, test } from "bun:test";
import { imageOf } from "../../../bench/fixture/image.ts";
import { parseReference } from "../../../src/base/reference.ts";
import { DistributionRegistry } from "../../../src/registry/distribution.ts";
import { Proxies } from "../../../src/registry/proxies.ts";
import { defaultLimits, Transport } from "../../../src/registry/transport.ts";
import { makeCertificate } from "../../support/authority.ts";
import { failureOf } from "../../support/errors.ts";
import { makeFolder } from "../../support/folder.ts";
import { brisk } from "../../support/images.ts";

const image = imageOf();

/** A registry of one manifest that shows a certificate nobody signed. */
async function selfSigned(): Promise<{ port: number; cert: string } & AsyncDisposable> {
  const folder = await makeFolder();
  const { cert, key } = await makeCertificate(folder.path, "localhost", ["DNS:localhost"]);
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
    cert: await Bun.file(cert).text(),
    [Symbol.asyncDispose]: async () => {
      await server.stop(true);
      await folder[Symbol.asyncDispose]();
    },
  };
}

test("a registry on loopback may speak TLS with a certificate that nobody signed", async () => {
  await using server = await selfSigned();
  const registry = new DistributionRegistry({ userAgent: "Bosun/test", limits: brisk });
  const { descriptor } = await registry.document(parseReference(`127.0.0.1:${server.port}/app:v1`));
  expect(descriptor.digest).toBe(image.manifest.descriptor.digest);
});

const transport = new Transport({ ...defaultLimits, ...brisk }, "Bosun/test", new Proxies());

test.each<[trust: string, name: string, why: string]>([
  ["nobody", "localhost", "certificate signed by unknown authority"],
  ["its own signer", "127.0.0.1", "certificate is not valid for 127.0.0.1"],
])("who trusts %s refuses it at %s: %s", async (trusted, name, why) => {
  await using server = await selfSigned();
  const url = new URL(`https://${name}:${server.port}/v2/`);
  const certificates = trusted === "nobody" ? undefined : { ca: [server.cert] };
  const call = () => transport.send({ method: "GET", url, trust: { insecure: false, direct: true, certificates } });
  expect(await failureOf(call)).toBe(`unavailable: Get "${url.href}": tls: failed to verify certificate: x509: ${why}`);
});
