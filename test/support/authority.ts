/** Certificates by openssl: those of nobody, and those of an authority of the test's own. */

import { join } from "node:path";

/** Paths of a certificate and its key, PEM. */
export interface Pair {
  readonly cert: string;
  readonly key: string;
}

/**
 * @param folder    gets `<name>.crt` and `<name>.key`
 * @param subjects  whom it is for, as `DNS:registry.test` or `IP:127.0.0.1`
 * @param signer    itself unless given
 */
export async function makeCertificate(
  folder: string,
  name: string,
  subjects: readonly string[] = [],
  signer?: Pair,
): Promise<Pair> {
  const made = { cert: join(folder, `${name}.crt`), key: join(folder, `${name}.key`) };
  const words = [
    ...["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1"],
    ...["-subj", `/CN=${name}`, "-keyout", made.key, "-out", made.cert],
    ...(subjects.length > 0 ? ["-addext", `subjectAltName=${subjects.join()}`] : []),
    ...(signer ? ["-CA", signer.cert, "-CAkey", signer.key] : []),
  ];
  const child = Bun.spawn(words, { stdout: "ignore", stderr: "pipe" });
  const [stderr, code] = await Promise.all([child.stderr.text(), child.exited]);
  if (code !== 0) throw new Error(`${words.join(" ")}: exit code ${code}: ${stderr}`);
  return made;
}
