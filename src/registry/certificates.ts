/**
 * Certificates for single registries: `<folder>/<host[:port]>/` with `*.crt`, authorities beside the usual ones, and pairs of `x.cert`
 * and `x.key`, the client's own. Source: Docker's documentation, "Verify repository client with certificates".
 */

import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { rootCertificates } from "node:tls";
import { ifMissing, invalid } from "../base/errors.ts";
import type { Certificates } from "./host.ts";

/** Docker's folder, and ours, whose files count where both have some. */
const certificateFolders: readonly string[] = ["/etc/docker/certs.d", "/etc/bosun/certs.d"];

/** A host's name as a folder: nothing that leads elsewhere. */
const SAFE = /^[A-Za-z0-9.\-_:[\]]+$/;

async function readFolder(folder: string): Promise<Certificates | undefined> {
  const names = (await readdir(folder).catch(ifMissing<string[]>([], "ENOTDIR"))).sort();
  const text = (name: string) => readFile(join(folder, name), "utf8");
  const ca = await Promise.all(names.filter((name) => name.endsWith(".crt")).map(text));
  const cert = names.find((name) => name.endsWith(".cert"));
  const key = cert?.replace(/\.cert$/, ".key");
  if (cert !== undefined && !names.includes(key ?? ""))
    throw invalid(`missing key ${key} for client certificate ${cert}`);
  if (ca.length === 0 && cert === undefined) return undefined;
  return {
    ...(ca.length > 0 && { ca: [...rootCertificates, ...ca] }),
    ...(cert !== undefined && key !== undefined && { cert: await text(cert), key: await text(key) }),
  };
}

/**
 * @param authority  `host[:port]`
 * @returns          what the last folder that has something says; read anew each time
 * @throws           invalid when a client's certificate has no key
 */
export async function certificatesFor(
  authority: string,
  folders: readonly string[] = certificateFolders,
): Promise<Certificates | undefined> {
  if (!SAFE.test(authority) || authority.startsWith(".")) return undefined;
  for (const folder of [...folders].reverse()) {
    const found = await readFolder(join(folder, authority));
    if (found) return found;
  }
  return undefined;
}
