/**
 * `X-Registry-Auth`: base64 of JSON. Anything that is not that counts as anonymous, for pull and push alike: Docker's rule.
 * Source: Docker Engine API, section "Authentication".
 */

import type { Credentials } from "../registry/registry.ts";
import { Document } from "./document.ts";

export function registryAuth(header: string | undefined): Credentials | undefined {
  if (!header) return undefined;
  try {
    return credentialsOf(new Document(JSON.parse(Buffer.from(header, "base64url").toString("utf8")))); // takes both alphabets
  } catch {
    return undefined;
  }
}

/** @returns what a person logs in with, as Docker spells it; undefined when nothing of it is there */
export function credentialsOf(document: Document): Credentials | undefined {
  const credentials = {
    ...text(document, "username", "username"),
    ...text(document, "password", "password"),
    ...text(document, "identitytoken", "identityToken"),
    ...text(document, "registrytoken", "registryToken"),
  };
  return Object.keys(credentials).length > 0 ? credentials : undefined;
}

function text<K extends keyof Credentials>(document: Document, field: string, key: K): Credentials {
  const value = document.text(field);
  return value === "" ? {} : { [key]: value };
}
