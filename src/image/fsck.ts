/**
 * Looks the images over: rows without files, files without rows, files that are not what they are called. What is being worked with is left alone.
 */

import type { Digest } from "../base/digest.ts";
import { digestOfFile } from "../base/files.ts";
import type { Problem } from "../base/finding.ts";
import type { ContentStore } from "../store/content.ts";
import type { Database } from "../store/database.ts";
import type { Layers } from "../store/layers.ts";
import type { Snapshots } from "../store/snapshot.ts";
import type { ImageRecord, ImageRecords } from "./records.ts";
import type { Sweeper } from "./sweep.ts";

export interface ImageCheckerOptions {
  readonly database: Database;
  readonly content: ContentStore;
  readonly layers: Layers;
  /** Of containers, which may stand on layers whose image was removed by force. */
  readonly snapshots: Pick<Snapshots, "listSnapshots" | "layersOf">;
  readonly records: ImageRecords;
  readonly sweeper: Sweeper;
}

export class ImageChecker {
  readonly #options: ImageCheckerOptions;

  constructor(options: ImageCheckerOptions) {
    this.#options = options;
  }

  /** @param full  reads every byte */
  async *check({ full }: { readonly full: boolean }): AsyncGenerator<Problem> {
    for (const detail of this.#options.database.problems())
      yield { what: "database", name: this.#options.database.path, detail };
    yield* this.#blobs(full);
    yield* this.#layers(full);
    for (const record of this.#options.records.all()) yield* this.#image(record);
  }

  async *#blobs(full: boolean): AsyncGenerator<Problem> {
    const { content, records, sweeper } = this.#options;
    const listed: Digest[] = [];
    for await (const { digest } of content.list()) listed.push(digest);
    for (const digest of listed) {
      if (sweeper.isHeld("blob", digest)) continue;
      if (!records.needsBlob(digest)) yield this.#orphan("blob", digest);
      else if (full) yield* this.#damagedBlob(digest);
    }
  }

  #orphan(what: "blob" | "layer", digest: Digest): Problem {
    const { sweeper } = this.#options;
    return {
      what,
      name: digest,
      detail: "nobody needs it",
      repair: async () => {
        await sweeper.discard(what === "blob" ? { blobs: [digest] } : { layers: [digest] });
        return "removed";
      },
    };
  }

  /** All but a configuration can be done without: layers are kept as tars, and manifests are for where the image came from. */
  async *#damagedBlob(digest: Digest): AsyncGenerator<Problem> {
    const { content, records } = this.#options;
    const blob = await content.find(digest);
    const actual = blob && (await digestOfFile(blob.path).catch(String));
    if (actual === undefined || actual === digest) return;
    const detail = `it is damaged: it is ${actual}`;
    if (records.findById(digest)) {
      const repair = async () => {
        await content.remove(digest);
        throw new Error("its configuration was dropped: pull or load it again, or remove it");
      };
      yield { what: "image", name: digest, detail: `its configuration is damaged: it is ${actual}`, repair };
      return;
    }
    const repair = async () => {
      records.forgetDocument(digest);
      await content.remove(digest);
      return "dropped: images do without it";
    };
    yield { what: "blob", name: digest, detail, repair };
  }

  async *#layers(full: boolean): AsyncGenerator<Problem> {
    const { layers, records, sweeper } = this.#options;
    const used = await this.#usedBySnapshots();
    const listed: Digest[] = [];
    for await (const diffId of layers.listLayers()) listed.push(diffId);
    for (const diffId of listed) {
      if (sweeper.isHeld("layer", diffId)) continue;
      const isNeeded = records.needsLayer(diffId) || used.has(diffId);
      if (isNeeded) yield* this.#damagedLayer(diffId, full);
      else yield this.#orphan("layer", diffId);
    }
  }

  async #usedBySnapshots(): Promise<ReadonlySet<Digest>> {
    const used = new Set<Digest>();
    const { snapshots } = this.#options;
    for await (const key of snapshots.listSnapshots())
      for (const diffId of await snapshots.layersOf(key).catch(() => [])) used.add(diffId);
    return used;
  }

  async *#damagedLayer(diffId: Digest, full: boolean): AsyncGenerator<Problem> {
    const { layers } = this.#options;
    const fault = await layers.fault(diffId, full).catch(() => undefined); // it has just gone
    if (fault === undefined) return;
    const { part, detail } = fault;
    const name = diffId;
    if (part === "index")
      yield {
        what: "layer",
        name,
        detail,
        repair: async () => {
          await layers.rebuild(diffId);
          return "its index was made again of its tar";
        },
      };
    else yield { what: "layer", name, detail, repair: () => this.#remake(diffId) };
  }

  /** A layer without its tar can be made of a compressed form, if one was kept. @throws when a container stands on it */
  async #remake(diffId: Digest): Promise<string> {
    const { layers, content, records } = this.#options;
    await layers.removeLayer(diffId);
    for (const { digest } of records.blobsOf(diffId)) {
      const blob = await content.find(digest);
      if (!blob || (await digestOfFile(blob.path).catch(() => undefined)) !== digest) continue;
      await layers.unpack(blob.path, diffId);
      return "it was unpacked again from its compressed form";
    }
    throw new Error("removed, and nothing is here to make it again: pull or load its images again");
  }

  async *#image({ id, layers }: ImageRecord): AsyncGenerator<Problem> {
    const { content } = this.#options;
    const again = "pull or load it again, or remove it";
    if (!(await content.find(id))) yield { what: "image", name: id, detail: `its configuration is missing: ${again}` };
    for (const diffId of new Set(layers.map((layer) => layer.diffId)))
      if (!(await this.#options.layers.has(diffId)))
        yield { what: "image", name: id, detail: `its layer ${diffId} is missing: ${again}` };
  }
}
