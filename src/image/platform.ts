/**
 * Which of an index's images is meant for a machine. Source: containerd's platforms package (normalisation and order of preference of
 * `Only`), OCI image-spec v1.1 image-index.md "Platform Variants".
 */

import { invalid, notFound } from "../base/errors.ts";
import type { Descriptor, Index, Platform } from "../base/oci.ts";

const architectures: Readonly<Record<string, string>> = {
  x86_64: "amd64",
  "x86-64": "amd64",
  x64: "amd64",
  i386: "386",
  i486: "386",
  i586: "386",
  i686: "386",
  ia32: "386",
  aarch64: "arm64",
  armhf: "arm",
  armel: "arm",
};
/** A variant that goes without saying is left out, so that equal platforms look equal. */
const variants: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  amd64: { v1: "" },
  arm64: { "8": "", v8: "" },
  arm: { "": "v7", "5": "v5", "6": "v6", "7": "v7", "8": "v8" },
};
const spelledVariants: Readonly<Record<string, string>> = { armhf: "v7", armel: "v6" };

/** @returns the same platform in the one spelling that compares. */
function normalized({ os, architecture, variant = "" }: Platform): Platform {
  const spelled = architecture.toLowerCase();
  const actual = architectures[spelled] ?? spelled;
  const said = spelledVariants[spelled] ?? variant.toLowerCase();
  const short = variants[actual]?.[said] ?? said;
  return { os: os.toLowerCase(), architecture: actual, ...(short !== "" && { variant: short }) };
}

export const hostPlatform = (): Platform => normalized({ os: process.platform, architecture: process.arch });

/** What one word alone may be. Source: containerd's platforms package, isKnownOS and isKnownArch. */
const SYSTEMS = ["linux", "windows", "darwin", "freebsd"];
const ARCHITECTURES = [
  ...["386", "amd64", "arm", "arm64", "loong64", "mips", "mips64", "mips64le", "mipsle"],
  ...["ppc64", "ppc64le", "riscv64", "s390x", "sparc64", "wasm"],
];

const WORD = /^[A-Za-z0-9_.-]+$/;

/** @param text  `os`, `architecture`, `os/architecture` or `os/architecture/variant`. @throws invalid */
export function parsePlatform(text: string): Platform {
  const words = text.split("/");
  const [first = "", second, third] = words;
  if (words.length > 3 || !words.every((word) => WORD.test(word)))
    throw invalid(`invalid platform ${JSON.stringify(text.slice(0, 100))}: want os[/arch[/variant]]`);
  const host = hostPlatform();
  if (second !== undefined)
    return normalized({ os: first, architecture: second, ...(third !== undefined && { variant: third }) });
  if (SYSTEMS.includes(first.toLowerCase())) return { ...host, os: first.toLowerCase() };
  const platform = normalized({ os: host.os, architecture: first });
  if (!ARCHITECTURES.includes(platform.architecture))
    throw invalid(`${JSON.stringify(text)}: unknown operating system or architecture: invalid argument`);
  return platform;
}

/** @returns `linux/arm64/v8`: arm64 says its variant, as Docker's messages do. */
export function formatPlatform({ os, architecture, variant }: Platform): string {
  const said = variant ?? (architecture === "arm64" ? "v8" : undefined);
  return [os, architecture, ...(said === undefined ? [] : [said])].join("/");
}

const descending = (variant: string): readonly string[] => {
  const newest = Number(/^v(\d)$/.exec(variant)?.[1] ?? Number.NaN);
  return Number.isNaN(newest) ? [variant] : Array.from({ length: newest }, (_, index) => `v${newest - index}`);
};

/** What a machine runs, best first. */
function runnable(platform: Platform): readonly Platform[] {
  const { os, architecture, variant } = normalized(platform);
  const arm = (newest: string) =>
    descending(newest)
      .filter((version) => version >= "v5")
      .map((version) => ({ os, architecture: "arm", variant: version }));
  const own = (versions: readonly string[]) =>
    versions.map((version) => normalized({ os, architecture, variant: version }));
  switch (architecture) {
    case "amd64":
      return [...own(descending(variant ?? "v1")), { os, architecture: "386" }];
    case "arm64":
      return [...own(variant?.startsWith("v9") ? [variant, "v8"] : [variant ?? "v8"]), ...arm("v8")];
    case "arm":
      return variant?.match(/^v[5-8]$/) ? arm(variant) : own([variant ?? "v7"]);
    default:
      return [{ os, architecture, ...(variant !== undefined && { variant }) }];
  }
}

const same = (one: Platform, other: Platform): boolean =>
  one.os === other.os && one.architecture === other.architecture && one.variant === other.variant;

/** @returns how good `offered` is for a machine, 0 the best; undefined when it does not run there. */
export function rank(machine: Platform, offered: Platform): number | undefined {
  const candidate = normalized(offered);
  const found = runnable(machine).findIndex((wanted) => same(wanted, candidate));
  return found < 0 ? undefined : found;
}

/** Build attestations ride in an index as manifests of no platform. Source: BuildKit docs/attestations/attestation-storage.md. */
export const isAttestation = ({ platform, annotations }: Descriptor): boolean =>
  (platform?.os === "unknown" && platform.architecture === "unknown") ||
  annotations?.["vnd.docker.reference.type"] === "attestation-manifest";

/**
 * @returns the entry that suits `machine` best, the first among equals. One without a platform counts as this machine's own when no
 *          other fits.
 * @throws  notFound, in Docker's words
 */
export function chooseManifest(index: Index, machine: Platform): Descriptor {
  let best: { readonly entry: Descriptor; readonly rank: number } | undefined;
  for (const entry of index.manifests) {
    if (isAttestation(entry)) continue;
    const suits = entry.platform ? rank(machine, entry.platform) : Number.MAX_SAFE_INTEGER;
    if (suits !== undefined && (!best || suits < best.rank)) best = { entry, rank: suits };
  }
  if (best) return best.entry;
  throw notFound(`no matching manifest for ${formatPlatform(machine)} in the manifest list entries`);
}
