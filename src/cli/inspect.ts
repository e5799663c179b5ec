/** `inspect`: what the engine knows of images, containers and volumes, as JSON or in words of the user's. */

import type { Client } from "./client.ts";
import { type Command, describe } from "./command.ts";
import type { FlagSpec } from "./flags.ts";
import { imagePath } from "./image-commands.ts";
import { parseTemplate } from "./template.ts";

type Kind = "container" | "image" | "volume";

interface Asked {
  readonly size: boolean;
  readonly platform: string | undefined;
}

const READ: Readonly<Record<Kind, (client: Client, name: string, asked: Asked) => Promise<unknown>>> = {
  container: (client, name, { size }) =>
    client.get(`/containers/${encodeURIComponent(name)}/json`, { size: size ? "1" : undefined }),
  volume: (client, name) => client.get(`/volumes/${encodeURIComponent(name)}`),
  image: (client, name, { platform }) => client.get(`${imagePath(name)}/json`, { platform }),
};

const isMissing = (error: unknown): boolean =>
  error instanceof Error && /^No such (container|image)|no such volume$/.test(error.message);

async function find(client: Client, kinds: readonly Kind[], name: string, asked: Asked): Promise<unknown> {
  for (const kind of kinds) {
    try {
      return await READ[kind](client, name, asked);
    } catch (error) {
      if (kinds.length === 1 || !isMissing(error)) throw error;
    }
  }
  throw new Error(`error: no such object: ${name}`);
}

/** Those that are found are printed, those that are not are told of. @returns the exit code */
export async function inspectAll(
  names: readonly string[],
  format: string | undefined,
  read: (name: string) => Promise<unknown>,
): Promise<number> {
  const fill = format === undefined || format === "json" ? undefined : parseTemplate(format);
  const found: unknown[] = [];
  const failures: string[] = [];
  for (const name of names) {
    try {
      found.push(await read(name));
    } catch (error) {
      failures.push(describe(error));
    }
  }
  if (fill) for (const one of found) console.log(fill(one));
  else console.log(format === "json" ? JSON.stringify(found) : JSON.stringify(found, null, 4));
  for (const failure of failures) process.stderr.write(`${failure}\n`);
  return failures.length > 0 ? 1 : 0;
}

export const INSPECT_FORMAT: FlagSpec = { kind: "text", short: "f", help: "Format output: 'json' or a Go template" };
const SIZE = { kind: "bool", short: "s", help: "Display total file sizes if the type is container" } as const;

export const inspectCommand: Command = {
  usage: "inspect [OPTIONS] NAME|ID [NAME|ID...]",
  summary: "Return low-level information on containers, images and volumes",
  flags: { format: INSPECT_FORMAT, size: SIZE, type: { kind: "text", help: "Only inspect objects of the given type" } },
  args: [1, Number.POSITIVE_INFINITY],
  run(client, flags) {
    const type = flags.text("type");
    if (type !== undefined && type !== "container" && type !== "image" && type !== "volume")
      throw new Error(`unknown type: ${JSON.stringify(type)}`);
    const kinds: readonly Kind[] = type === undefined ? ["container", "image", "volume"] : [type];
    const asked = { size: flags.on("size"), platform: undefined };
    return inspectAll(flags.args, flags.text("format"), (name) => find(client, kinds, name, asked));
  },
};

export const imageInspectCommand: Command = {
  usage: "image inspect [OPTIONS] IMAGE [IMAGE...]",
  summary: "Display detailed information on one or more images",
  flags: { format: INSPECT_FORMAT, platform: { kind: "text", help: "Inspect a specific platform of the image" } },
  args: [1, Number.POSITIVE_INFINITY],
  run(client, flags) {
    const asked = { size: false, platform: flags.text("platform") };
    return inspectAll(flags.args, flags.text("format"), (name) => find(client, ["image"], name, asked));
  },
};

export const containerInspectCommand: Command = {
  usage: "container inspect [OPTIONS] CONTAINER [CONTAINER...]",
  summary: "Display detailed information on one or more containers",
  flags: { format: INSPECT_FORMAT, size: SIZE },
  args: [1, Number.POSITIVE_INFINITY],
  run(client, flags) {
    const asked = { size: flags.on("size"), platform: undefined };
    return inspectAll(flags.args, flags.text("format"), (name) => find(client, ["container"], name, asked));
  },
};
