/**
 * Images for the real kernel: the host's static busybox with a few users and files, and the same layer once more as an image that has an
 * opinion on everything.
 */

import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { imageOf, indexOf, json, type Piece, piece, type TestImage } from "../../bench/fixture/image.ts";
import type { DockerRegistry } from "../../bench/fixture/registry.ts";
import { file, folder, symlink, type TarEntry, tarOf } from "../../bench/fixture/tar.ts";
import { digestOf } from "../../src/base/digest.ts";
import { ociConfig, ociManifest } from "../../src/base/media-types.ts";
import { dockerArchive } from "./archive.ts";

const program = Bun.which("busybox");
export const hasBusybox = program !== null;

const PASSWD = `root:x:0:0:root:/root:/bin/sh
bob:x:1000:1001:Bob:/home/bob:/bin/sh
nobody:x:65534:65534:nobody:/:/bin/false
`;
const GROUP = `root:x:0:
bob:x:1001:
staff:x:50:bob
nobody:x:65534:
`;

/** Applets that tests call. */
const APPLETS =
  "[ awk cat chmod chown chroot cp cut dd df dmesg echo env expr false grep head hostname id ifconfig ip kill ln ls md5sum mkdir mknod mount mv nc od ping pkill printf ps pwd readlink reset rm route sed seq sh sha256sum sleep sort stat stty sync tail tee test touch tr true tty umount uname unshare wc wget whoami yes".split(
    " ",
  );

/** @param motd  tells one from another */
function rootTar(motd: string, more: readonly TarEntry[]): Buffer {
  return tarOf(
    folder("bin/"),
    file("bin/busybox", "", { data: readFileSync(program ?? ""), mode: 0o755 }),
    ...APPLETS.map((name) => symlink(`bin/${name}`, "busybox")),
    ...["dev/", "proc/", "sys/", "etc/"].map((name) => folder(name)),
    ...["hostname", "hosts", "resolv.conf"].map((name) => file(`etc/${name}`)),
    file("etc/passwd", PASSWD),
    file("etc/group", GROUP),
    file("etc/motd", `${motd}\n`),
    folder("home/"),
    folder("home/bob/", { uid: 1000, gid: 1001 }),
    folder("root/", { mode: 0o700 }),
    folder("srv/"),
    file("srv/plain", "#!/bin/sh\n"),
    file("srv/wrong-interpreter", "#!/nowhere/sh\n", { mode: 0o755 }),
    file("srv/not-a-program", "\x01\x02\x03\x04", { mode: 0o755 }),
    symlink("srv/out", "../../../../../../etc"),
    folder("srv/private/", { mode: 0o700 }),
    file("srv/private/tool", "#!/bin/sh\n", { mode: 0o755 }),
    folder("tmp/", { mode: 0o1777 }),
    ...more,
  );
}

function image(config: object, motd = "of the image", more: readonly TarEntry[] = []): TestImage {
  const tar = rootTar(motd, more);
  const diffId = digestOf(tar);
  const layer = piece("application/vnd.oci.image.layer.v1.tar+gzip", gzipSync(tar, { level: 1 }));
  const created = "2024-05-06T07:08:09Z";
  const document = {
    architecture: process.arch === "arm64" ? "arm64" : "amd64",
    os: "linux",
    created,
    config,
    rootfs: { type: "layers", diff_ids: [diffId] },
    history: [{ created, created_by: "ADD busybox /" }],
  };
  const configPiece = piece(ociConfig, json(document));
  const manifest = piece(
    ociManifest,
    json({
      schemaVersion: 2,
      mediaType: ociManifest,
      config: configPiece.descriptor,
      layers: [layer.descriptor],
    }),
  );
  return { manifest, config: configPiece, layers: [layer], tars: [tar], diffIds: [diffId] };
}

const PATH = "PATH=/usr/local/bin:/bin";

/** @param motd  what its only layer has in /etc/motd; one that nobody else has makes a layer that nobody else has */
export const busyboxImage = (motd?: string): TestImage => image({ Cmd: ["sh"], Env: [PATH] }, motd);

/** With more in its root. @param config  as `Volumes` */
export const furnishedImage = (more: readonly TarEntry[], config: object = {}): TestImage =>
  image({ Cmd: ["sh"], Env: [PATH], ...config }, "of the image", more);

/** What it says is what a container from it has when nobody asks for something else. */
export const opinionatedImage = (): TestImage =>
  image({
    Entrypoint: ["/bin/echo", "entry"],
    Cmd: ["word"],
    Env: [PATH, "GREETING=hello", "PLACE=image"],
    User: "bob",
    WorkingDir: "/srv",
    Labels: { "org.example.kind": "opinionated", shared: "image" },
    ExposedPorts: { "80/tcp": {} },
    StopSignal: "SIGUSR1",
  });

/** `busybox:latest` and `opinionated:1`, as `docker save` writes them. */
export const testArchive = (): Uint8Array =>
  dockerArchive([
    { image: busyboxImage(), tags: ["busybox:latest"] },
    { image: opinionatedImage(), tags: ["opinionated:1"] },
  ]);

export interface MultiPlatform {
  readonly index: Piece;
  /** For this machine. */
  readonly host: TestImage;
  /** For one that this machine is not. */
  readonly foreign: TestImage;
}

/** Pushes an image for this machine and one for s390x under one tag. @param layer  tells them from others */
export async function multiPlatform(registry: DockerRegistry, name: string, tag: string): Promise<MultiPlatform> {
  const s390x = { os: "linux", architecture: "s390x" };
  const host = busyboxImage(`of ${name}:${tag}`);
  const foreign = imageOf({
    layers: [[{ name: "bin/true", content: `no program of this machine: ${name}:${tag}`, mode: 0o755 }]],
    platform: s390x,
    config: { config: { Cmd: ["/bin/true"] } },
  });
  await registry.push(name, `${tag}-host`, host);
  await registry.push(name, `${tag}-foreign`, foreign);
  const architecture = process.arch === "arm64" ? "arm64" : "amd64";
  const index = indexOf([
    { image: foreign, platform: s390x },
    { image: host, platform: { os: "linux", architecture } },
  ]);
  await registry.pushDocument(name, tag, index);
  return { index, host, foreign };
}
