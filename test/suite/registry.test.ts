/** Conformance of the Registry port: against the fake that other tests use, and against a registry that we did not write. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { digestOf } from "../../src/base/digest.ts";
import { parseReference, type Reference } from "../../src/base/reference.ts";
import { collect } from "../../src/base/streams.ts";
import { DistributionRegistry } from "../../src/registry/distribution.ts";
import type { Access } from "../../src/registry/registry.ts";
import { FakeRegistry } from "../fake/registry.ts";
import { failureOf } from "../support/errors.ts";
import { imageOf, indexOf, type Piece, type TestImage } from "../support/image.ts";
import { DockerRegistry, hasDockerRegistry } from "../support/registry.ts";

interface Peer extends AsyncDisposable {
  readonly host: string;
  push(repository: string, tag: string, image: TestImage): unknown;
  pushDocument(repository: string, tag: string, document: Piece): unknown;
}

const secret = { username: "ann", password: "s:cret" };
const peers: readonly [string, boolean, () => Promise<Peer>, Access][] = [
  ["fake", true, () => FakeRegistry.start(), {}],
  ["docker-registry", hasDockerRegistry, () => DockerRegistry.start(), {}],
  ["docker-registry with a password", hasDockerRegistry, () => DockerRegistry.start(secret), { credentials: secret }],
];

for (const [name, isThere, start, access] of peers)
  describe.skipIf(!isThere)(`Registry: ${name}`, () => {
    const registry = new DistributionRegistry({ userAgent: "Bosun/test" });
    const image = imageOf({ layers: [[{ name: "file", content: "x".repeat(100_000) }]], compression: "none" });
    const [layer] = image.layers;
    const index = indexOf([{ image, platform: { os: "linux", architecture: "amd64" } }]);
    let peer: Peer;
    const named = (text: string): Reference => parseReference(`${peer.host}/${text}`);

    beforeAll(async () => {
      peer = await start();
      await peer.push("team/app", "v1", image);
      await peer.pushDocument("team/app", "multi", index);
    });
    afterAll(() => peer?.[Symbol.asyncDispose]());

    test("resolve() gives the digest, size and type of a tag", async () => {
      expect(await registry.resolve(named("team/app:v1"), access)).toEqual({
        mediaType: image.manifest.descriptor.mediaType,
        digest: image.manifest.descriptor.digest,
        size: image.manifest.descriptor.size,
      });
    });

    test("document() gives the bytes by tag and by digest", async () => {
      const { digest, mediaType } = index.descriptor;
      for (const text of ["team/app:multi", `team/app@${digest}`]) {
        const document = await registry.document(named(text), access);
        expect(document.descriptor).toMatchObject({ digest, mediaType });
        expect(Buffer.from(document.bytes).equals(index.bytes)).toBeTrue();
      }
    });

    test("blob() gives the bytes from any offset", async () => {
      if (!layer) throw new Error("no layer");
      for (const offset of [0, 1, 50_000, layer.bytes.byteLength - 1]) {
        const { start, body } = await registry.blob(named("team/app"), layer.descriptor, offset, access);
        expect(start).toBe(offset);
        expect(digestOf(await collect(body, 1 << 20))).toBe(digestOf(layer.bytes.subarray(offset)));
      }
    });

    test("blob() starts anew when the offset is past the end", async () => {
      if (!layer) throw new Error("no layer");
      const { start, body } = await registry.blob(
        named("team/app"),
        layer.descriptor,
        layer.bytes.byteLength + 5,
        access,
      );
      expect(start).toBe(0);
      expect(digestOf(await collect(body, 1 << 20))).toBe(layer.descriptor.digest);
    });

    test("an unknown tag is not found, in Docker's words", async () => {
      const text = `${peer.host}/team/app:none`;
      const words = `notFound: manifest for ${text} not found: manifest unknown: manifest unknown`;
      expect(await failureOf(() => registry.document(parseReference(text), access))).toBe(words);
      expect(await failureOf(() => registry.resolve(parseReference(text), access))).toBe(words);
    });

    test("an unknown blob is not found", async () => {
      const blob = { digest: digestOf("nothing"), size: 7 };
      expect(await failureOf(() => registry.blob(named("team/app"), blob, 0, access))).toStartWith(
        "notFound: blob unknown",
      );
    });

    test("an aborted call throws the reason", async () => {
      const signal = AbortSignal.abort(new Error("enough"));
      expect(await failureOf(() => registry.resolve(named("team/app:v1"), { ...access, signal }))).toBe(
        "internal: enough",
      );
    });

    test("tags() lists them", async () => {
      expect([...(await registry.tags(named("team/app"), access))].sort()).toEqual(["multi", "v1"]);
    });

    if (access.credentials)
      test("without or with a wrong password it is forbidden", async () => {
        const ask = (credentials?: typeof secret) => () => registry.document(named("team/app:v1"), { credentials });
        const url = `http://${peer.host}/v2/team/app/manifests/v1`;
        expect(await failureOf(ask())).toBe(`forbidden: Get "${url}": no basic auth credentials`);
        const refused = await failureOf(ask({ username: "ann", password: "wrong" }));
        expect(refused).toBe("forbidden: unauthorized: authentication required");
      });
  });
