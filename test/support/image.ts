/** Images made of nothing: small layers, configurations, manifests and indexes, with the bytes that a registry would keep. */

import { gzipSync, zstdCompressSync } from "node:zlib";
import { type Digest, digestOf } from "../../src/base/digest.ts";
import {
  dockerConfig,
  dockerIndex,
  dockerManifest,
  ociConfig,
  ociIndex,
  ociManifest,
} from "../../src/base/media-types.ts";
import type { Descriptor, Platform } from "../../src/base/oci.ts";

export interface Piece {
  readonly descriptor: Descriptor;
  readonly bytes: Uint8Array;
}

export interface TestImage {
  readonly manifest: Piece;
  readonly config: Piece;
  readonly layers: readonly Piece[];
  readonly tars: readonly Uint8Array[];
  readonly diffIds: readonly Digest[];
}

export const piece = (mediaType: string, bytes: Uint8Array, more: Partial<Descriptor> = {}): Piece => ({
  descriptor: { mediaType, digest: digestOf(bytes), size: bytes.byteLength, ...more },
  bytes,
});

export const json = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));

export interface TarEntry {
  readonly name: string;
  readonly content?: string | Uint8Array;
  /** As in the header: `0` file, `1` hard link, `2` symlink, `5` directory. */
  readonly type?: string;
  readonly link?: string;
  /** Permission bits; 0644 unless given. */
  readonly mode?: number;
  /** Written instead of the content's length. */
  readonly size?: number;
}

const octal = (value: number, width: number): string => `${value.toString(8).padStart(width - 1, "0")}\0`;

/** Source: POSIX.1-2018 pax, "ustar Interchange Format". */
function block({ name, content = "", type = "0", link = "", mode = 0o644, size }: TarEntry): Uint8Array {
  const bytes = Buffer.from(content);
  const header = Buffer.alloc(512);
  header.write(name, 0, 100);
  header.write(
    octal(mode, 8) + octal(0, 8) + octal(0, 8) + octal(size ?? bytes.length, 12) + octal(1700000000, 12),
    100,
  );
  header.write(`        ${type}`, 148);
  header.write(link, 157, 100);
  header.write("ustar\u000000", 257);
  header.write(
    `${octal(
      header.reduce((sum, byte) => sum + byte, 0),
      7,
    )} `,
    148,
  );
  return Buffer.concat([header, bytes, Buffer.alloc((512 - (bytes.length % 512)) % 512)]);
}

export const tarOf = (...entries: readonly TarEntry[]): Uint8Array =>
  Buffer.concat([...entries.map(block), Buffer.alloc(1024)]);

export type Compression = "gzip" | "zstd" | "none";

export interface ImageOptions {
  /** One file a layer; the names tell layers apart. */
  readonly layers?: readonly TarEntry[][];
  readonly platform?: Partial<Platform>;
  readonly compression?: Compression;
  /** Docker's media types instead of OCI's. */
  readonly docker?: boolean;
  /** Merged into the configuration. */
  readonly config?: object;
  /** Merged into the manifest. */
  readonly manifest?: object;
}

const layerTypes = {
  oci: { gzip: "+gzip", zstd: "+zstd", none: "" },
  docker: { gzip: ".gzip", zstd: ".zstd", none: "" },
} as const;

const compressed = { gzip: gzipSync, zstd: zstdCompressSync, none: (tar: Uint8Array) => tar } as const;

export function imageOf(options: ImageOptions = {}): TestImage {
  const { compression = "gzip", docker = false, platform = {} } = options;
  const tars = (options.layers ?? [[{ name: "hello", content: "hello\n" }]]).map((entries) => tarOf(...entries));
  const diffIds = tars.map(digestOf);
  const base = docker ? "application/vnd.docker.image.rootfs.diff.tar" : "application/vnd.oci.image.layer.v1.tar";
  const type = base + layerTypes[docker ? "docker" : "oci"][compression];
  const layers = tars.map((tar) => piece(type, compressed[compression](tar)));
  const created = "2023-11-14T22:13:20Z";
  const config = piece(
    docker ? dockerConfig : ociConfig,
    json({
      architecture: "amd64",
      os: "linux",
      ...platform,
      created,
      config: { Cmd: ["/hello"], Labels: { kind: "test" } },
      rootfs: { type: "layers", diff_ids: diffIds },
      history: [
        ...diffIds.map((_, index) => ({ created, created_by: `ADD layer ${index}` })),
        { created, created_by: "CMD /hello", empty_layer: true },
      ],
      ...options.config,
    }),
  );
  const mediaType = docker ? dockerManifest : ociManifest;
  const descriptors = layers.map(({ descriptor }) => descriptor);
  const document = { schemaVersion: 2, mediaType, config: config.descriptor, layers: descriptors, ...options.manifest };
  return { manifest: piece(mediaType, json(document)), config, layers, tars, diffIds };
}

/** @param images  in the order of the index */
export function indexOf(
  images: readonly { readonly image: TestImage; readonly platform?: Platform }[],
  docker = false,
): Piece {
  const manifests = images.map(({ image, platform }) => ({
    ...image.manifest.descriptor,
    ...(platform && { platform }),
  }));
  const mediaType = docker ? dockerIndex : ociIndex;
  return piece(mediaType, json({ schemaVersion: 2, mediaType, manifests }));
}
