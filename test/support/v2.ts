/** The registry that the engine is, in this process, over the image room with fakes. */

import type { Piece, TestImage } from "../../bench/fixture/image.ts";
import { distributionRouter } from "../../src/api/distribution.ts";
import { createApi } from "../../src/api/server.ts";
import { digestOf } from "../../src/base/digest.ts";
import { silent } from "../../src/base/logger.ts";
import type { ImagesOptions } from "../../src/image/images.ts";
import { ImageRoom } from "./images.ts";

export interface V2Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly bytes: Uint8Array;
  readonly text: string;
  /** Codes of the errors in it. */
  readonly codes: readonly string[];
}

type Body = string | Uint8Array | ReadableStream<Uint8Array>;

const streamed = (bytes: Uint8Array): ReadableStream<Uint8Array> =>
  new ReadableStream({
    start(out) {
      out.enqueue(bytes);
      out.close();
    },
  });

function codesIn(text: string): readonly string[] {
  try {
    const { errors = [] }: { errors?: readonly { code: string }[] } = JSON.parse(text);
    return errors.map(({ code }) => code);
  } catch {
    return [];
  }
}

export class V2 implements AsyncDisposable {
  private constructor(
    readonly room: ImageRoom,
    readonly api: ReturnType<typeof createApi>,
  ) {}

  static async open(options: Partial<ImagesOptions> = {}): Promise<V2> {
    const room = await ImageRoom.open(options);
    return new V2(room, createApi([distributionRouter(room.images)], { version: "1" }, silent));
  }

  /** @param line  as `GET /v2/` */
  async send(line: string, body?: Body, headers: Readonly<Record<string, string>> = {}): Promise<V2Answer> {
    const [method = "GET", path = "/"] = line.split(" ");
    const stream =
      typeof body === "string" ? streamed(Buffer.from(body)) : body instanceof Uint8Array ? streamed(body) : body;
    const request = new Request(`http://x${path}`, {
      method,
      headers,
      ...(stream && { body: stream, duplex: "half" }),
    });
    const response = await this.api(request, { signal: new AbortController().signal, upgrade: undefined });
    const bytes = new Uint8Array(await response.arrayBuffer());
    const text = Buffer.from(bytes).toString();
    return { status: response.status, headers: response.headers, bytes, text, codes: codesIn(text) };
  }

  putBlob(name: string, bytes: Uint8Array): Promise<V2Answer> {
    return this.send(`POST /v2/${name}/blobs/uploads/?digest=${digestOf(bytes)}`, bytes);
  }

  putManifest(name: string, reference: string, { bytes, descriptor }: Piece): Promise<V2Answer> {
    return this.send(`PUT /v2/${name}/manifests/${reference}`, bytes, { "content-type": descriptor.mediaType });
  }

  /** @returns the answer to the manifest */
  async push(name: string, reference: string, image: TestImage): Promise<V2Answer> {
    for (const { bytes } of [image.config, ...image.layers]) await this.putBlob(name, bytes);
    return this.putManifest(name, reference, image.manifest);
  }

  /** @returns where the upload is */
  async begin(name: string): Promise<string> {
    return (await this.send(`POST /v2/${name}/blobs/uploads/`)).headers.get("location") ?? "";
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.room.images.uploads[Symbol.asyncDispose]();
    await this.room[Symbol.asyncDispose]();
  }
}
