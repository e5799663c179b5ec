/** Identifiers of containers, execs and networks: 64 hex digits at random; people see the first 12. */

/** @returns 64 hex digits that do not read as a decimal number in their first 12, as Docker guarantees of its ids. */
export function newId(): string {
  for (;;) {
    const id = Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString("hex");
    if (!/^\d+$/.test(id.slice(0, 12))) return id;
  }
}

export const shortId = (id: string): string => id.replace(/^sha256:/, "").slice(0, 12);

export const isId = (text: string): boolean => /^[0-9a-f]{64}$/.test(text);
