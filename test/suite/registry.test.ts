/** Conformance of the Registry port: against the fake that other tests use, and against a registry that we did not write. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { imageOf, indexOf, type Piece, type TestImage } from "../../bench/fixture/image.ts";
import { DockerRegistry, hasDockerRegistry } from "../../bench/fixture/registry.ts";
import { digestOf } from "../../src/base/digest.ts";
import { parseReference, type Reference } from "../../src/base/reference.ts";
import { bytesOf, collect } from "../../src/base/streams.ts";
import { DistributionRegistry } from "../../src/registry/distribution.ts";
import type { Access } from "../../src/registry/registry.ts";
import { FakeRegistry } from "../fake/registry.ts";
import { failureOf } from "../support/errors.ts";

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

    describe("pushing", () => {
      const bytes = new Uint8Array(Buffer.from("0123456789abcdef".repeat(200_000)));
      const blob = { digest: digestOf(bytes), size: bytes.byteLength };
      const open = (offset: number) => bytesOf(bytes.subarray(offset));
      const push = (name: string, one = blob) => registry.pushBlob(named(name), one, open, access);

      test("a blob that was pushed is there, byte for byte", async () => {
        expect(await registry.hasBlob(named("push/one"), blob, access)).toBeFalse();
        const counts: number[] = [];
        await registry.pushBlob(named("push/one"), blob, open, {
          ...access,
          onProgress: (count) => counts.push(count),
        });
        expect(counts.at(-1)).toBe(blob.size);
        expect(await registry.hasBlob(named("push/one"), blob, access)).toBeTrue();
        const { body } = await registry.blob(named("push/one"), blob, 0, access);
        expect(digestOf(await collect(body, 1 << 24))).toBe(blob.digest);
      });

      test("a blob is mounted from another repository of the host, or not when it is not there", async () => {
        await push("push/from");
        expect(await registry.mountBlob(named("push/to"), blob, named("push/from"), access)).toBeTrue();
        expect(await registry.hasBlob(named("push/to"), blob, access)).toBeTrue();
        const other = { digest: digestOf("other"), size: 5 };
        expect(await registry.mountBlob(named("push/to"), other, named("push/from"), access)).toBeFalse();
        expect(await registry.hasBlob(named("push/to"), other, access)).toBeFalse();
      });

      test("an empty blob can be pushed", async () => {
        const empty = { digest: digestOf(""), size: 0 };
        await registry.pushBlob(named("push/empty"), empty, () => bytesOf(), access);
        expect(await registry.hasBlob(named("push/empty"), empty, access)).toBeTrue();
      });

      test("other bytes than the digest says are refused", async () => {
        const wrong = { digest: digestOf("wrong"), size: blob.size };
        expect(await failureOf(() => push("push/wrong", wrong))).toStartWith("invalid: digest invalid: ");
        expect(await registry.hasBlob(named("push/wrong"), wrong, access)).toBeFalse();
      });

      test("a manifest follows its blobs, under a tag and under its digest", async () => {
        for (const piece of [image.config, ...image.layers])
          await registry.pushBlob(
            named("push/image"),
            piece.descriptor,
            (offset) => bytesOf(new Uint8Array(piece.bytes.subarray(offset))),
            access,
          );
        await registry.pushDocument(named("push/image:v2"), image.manifest, access);
        const { digest } = image.manifest.descriptor;
        expect((await registry.resolve(named("push/image:v2"), access)).digest).toBe(digest);
        await registry.pushDocument(named(`push/image@${digest}`), image.manifest, access);
      });

      test("a manifest without its blobs is refused", async () => {
        const failure = await failureOf(() => registry.pushDocument(named("push/none:v1"), image.manifest, access));
        expect(failure).toStartWith("invalid: manifest blob unknown: ");
      });

      test("an aborted push throws the reason", async () => {
        const signal = AbortSignal.abort(new Error("enough"));
        const call = () => registry.pushBlob(named("push/stop"), blob, open, { ...access, signal });
        expect(await failureOf(call)).toBe("internal: enough");
      });
    });

    test("login() tells right credentials from wrong ones", async () => {
      expect(await registry.login(peer.host, access.credentials ?? {})).toBeUndefined();
      const wrong = () => registry.login(peer.host, { username: "ann", password: "wrong" });
      expect(await failureOf(wrong)).toBe(
        access.credentials
          ? `unauthorized: login attempt to http://${peer.host}/v2/ failed with status: 401 Unauthorized`
          : "no error",
      );
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
