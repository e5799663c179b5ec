/**
 * What a container's log says of the container with each line, when its options ask for that. Source: Docker's documentation, "JSON File
 * logging driver" and "Customize log driver output".
 */

import { hostname } from "node:os";
import { invalid } from "../base/errors.ts";
import type { LogSubject } from "./driver.ts";
import type { LogOptions } from "./options.ts";

/** Options that choose what is said. */
export const ATTRIBUTE_OPTIONS: readonly string[] = ["labels", "labels-regex", "env", "env-regex", "tag"];

const listOf = (text: string | undefined): readonly string[] =>
  text ? text.split(",").map((name) => name.trim()) : [];

function patternOf(name: string, text: string | undefined): RegExp | undefined {
  try {
    return text ? new RegExp(text) : undefined;
  } catch (cause) {
    throw invalid(`invalid value for log option ${name}: ${JSON.stringify(text)}`, { cause });
  }
}

/** Those of the pairs that a list or a pattern names. */
function chosen(pairs: LogOptions, list: readonly string[], pattern: RegExp | undefined): LogOptions {
  return Object.fromEntries(
    Object.entries(pairs).filter(([name]) => list.includes(name) || (pattern?.test(name) ?? false)),
  );
}

const shortened = (id: string): string => id.replace(/^sha256:/, "").slice(0, 12);

const FIELDS: Readonly<Record<string, (subject: LogSubject) => string>> = {
  ID: ({ id }) => shortened(id),
  FullID: ({ id }) => id,
  Name: ({ name }) => name,
  ImageID: ({ imageId }) => shortened(imageId),
  ImageFullID: ({ imageId }) => imageId,
  ImageName: ({ image }) => image,
  Command: ({ command }) => command.join(" "),
  Hostname: () => hostname(),
  DaemonName: () => "docker",
  ContainerID: ({ id }) => id,
  ContainerName: ({ name }) => `/${name}`,
  ContainerImageID: ({ imageId }) => imageId,
  ContainerImageName: ({ image }) => image,
};

/** What a collector gets when nobody says otherwise. */
const DEFAULT_TAG = "{{.ID}}";

/** Of Go's templates the plain fields. @throws invalid for anything else between braces */
export function tagOf(template: string | undefined, subject: LogSubject): string {
  return (template || DEFAULT_TAG).replace(/\{\{(.*?)\}\}/g, (whole, inner: string) => {
    const name = /^\s*\.(\w+)\s*$/.exec(inner)?.[1] ?? "";
    const field = Object.hasOwn(FIELDS, name) ? FIELDS[name] : undefined;
    if (!field) throw invalid(`invalid value for log option tag: cannot use ${whole}`);
    return field(subject);
  });
}

/** The labels and variables that the options name. @returns undefined when there are none. @throws invalid */
export function attributesOf(options: LogOptions, subject: LogSubject): LogOptions | undefined {
  const env = Object.fromEntries(
    subject.env.map((entry) => [entry.split("=", 1)[0] ?? "", entry.replace(/^[^=]*=?/, "")]),
  );
  const attributes = {
    ...chosen(subject.labels, listOf(options.labels), patternOf("labels-regex", options["labels-regex"])),
    ...chosen(env, listOf(options.env), patternOf("env-regex", options["env-regex"])),
  };
  return Object.keys(attributes).length > 0 ? attributes : undefined;
}
