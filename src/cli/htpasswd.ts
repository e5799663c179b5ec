/** Who may use a served registry: a file of `name:hash` lines with bcrypt hashes, as Apache's `htpasswd -B` writes it. */

import { readFileSync } from "node:fs";

/** bcrypt takes some 50 ms by design: what was right stays right for so long. */
const rememberedMs = 60_000;
const mostRemembered = 1024;
/** bcrypt reads no more of a password. */
const longestPassword = 72;

/** Of a password that nobody has: an unknown name takes as long as a wrong password. */
const NOBODY = "$2b$10$abcdefghijklmnopqrstuuJZc7mJ3ZpmBiSoFfRzj8QrZq1p7o5eK";

export class Htpasswd {
  readonly #hashes = new Map<string, string>();
  /** Authorization headers that were right, by when that was. */
  readonly #right = new Map<string, number>();

  /** @throws Error for a file that cannot be read, and for hashes that are not bcrypt */
  constructor(path: string) {
    for (const line of readFileSync(path, "utf8").split("\n")) {
      if (line.trim() === "" || line.startsWith("#")) continue;
      const [, name, hash] = /^([^:]+):(\$2[aby]\$\d\d\$[./A-Za-z0-9]{53})\s*$/.exec(line) ?? [];
      if (name === undefined || hash === undefined)
        throw new Error(`${path}: want lines of name:hash with bcrypt, as \`htpasswd -B\` writes them`);
      this.#hashes.set(name, hash.replace(/^\$2y/, "$2b")); // the same under PHP's name
    }
  }

  /** @param header  Authorization, as it was sent */
  async accepts(header: string | undefined): Promise<boolean> {
    const [, encoded] = /^Basic ([A-Za-z0-9+/=]+)$/i.exec(header ?? "") ?? [];
    if (header === undefined || encoded === undefined) return false;
    const key = new Bun.CryptoHasher("sha256").update(header).digest("hex");
    if (Date.now() - (this.#right.get(key) ?? 0) < rememberedMs) return true;
    const [, name = "", password = ""] = /^([^:]*):(.*)$/s.exec(Buffer.from(encoded, "base64").toString()) ?? [];
    const hash = this.#hashes.get(name);
    const isRight = await Bun.password
      .verify(password.slice(0, longestPassword) || " ", hash ?? NOBODY)
      .catch(() => false);
    if (!isRight || hash === undefined) return false;
    if (this.#right.size >= mostRemembered) this.#right.clear();
    this.#right.set(key, Date.now());
    return true;
  }
}
