/** The layer engine as a component, behind layer.wit, as jco transpiles it. */

const COMPONENT = new URL("../../build/wasm/component/", import.meta.url);

export interface Index {
  begin(limits: { entries: number; path: number; meta: number; salt: bigint }): void;
  write(chunk: Uint8Array): void;
  finish(format: "erofs" | "steps"): { entries: number; inodes: number; tarBytes: bigint; bytes: bigint };
  read(): Uint8Array;
}

export interface Pack {
  begin(options: { mode: "tree" | "layer" | "changes"; whole: boolean; exceptBytes: number }, names: Uint8Array): void;
  write(records: Uint8Array): Uint8Array;
  finish(): Uint8Array;
}

export interface Digest {
  sha256Reset(): void;
  sha256Update(chunk: Uint8Array): void;
  sha256Finish(): Uint8Array;
  crc32c(before: number, chunk: Uint8Array): number;
  xxh3Reset(): void;
  xxh3Update(chunk: Uint8Array): void;
  xxh3Finish(): bigint;
}

export async function openLayer(): Promise<{ index: Index; pack: Pack; digest: Digest }> {
  const { instantiate } = await import(new URL("layer.js", COMPONENT).pathname);
  const module = async (path: string) => WebAssembly.compile(await Bun.file(new URL(path, COMPONENT)).bytes());
  return instantiate(module, {});
}
