/**
 * Dockerfile instructions that change an image's configuration and nothing else, as `commit --change`, `import --change` and a build apply them.
 * Pure. Source: Dockerfile reference, one section per instruction; Docker CLI reference, "docker container commit", "--change".
 */

import { posix } from "node:path";
import { invalid } from "../base/errors.ts";
import type { Healthcheck, RunConfig } from "../base/oci.ts";
import { signalNumber } from "../runtime/signals.ts";
import {
  type Instruction,
  parseExecForm,
  parseHealthcheck,
  parseInstructions,
  parseList,
  parsePairs,
} from "./instruction.ts";
import { type Environment, environmentOf, expandWord, splitWords } from "./shell-words.ts";

/** What a series of instructions has led to. */
interface Draft {
  readonly config: RunConfig;
  /** A command of this series stays when an entrypoint comes; one from before does not. */
  readonly hasOwnCmd: boolean;
}

type Apply = (draft: Draft, text: string, env: Environment) => Draft;

const DEFAULT_SHELL = ["/bin/sh", "-c"];

const change = (draft: Draft, more: Partial<RunConfig>): Draft => ({ ...draft, config: { ...draft.config, ...more } });

const commandOf = ({ config }: Draft, text: string): readonly string[] =>
  parseExecForm(text) ?? [...(config.Shell ?? DEFAULT_SHELL), text];

/** `80`, `80/udp`, `8000-8010/tcp` → `80/tcp`, … @throws invalid */
function portsOf(spec: string): readonly string[] {
  const [, first = "", last = first, protocol = "tcp"] =
    /^(\d{1,5})(?:-(\d{1,5}))?(?:\/(tcp|udp|sctp))?$/i.exec(spec) ?? [];
  const [low, high] = [Number(first), Number(last)];
  if (first === "" || high > 65535 || low > high) throw invalid(`invalid containerPort: ${spec.slice(0, 100)}`);
  return Array.from({ length: high - low + 1 }, (_, index) => `${low + index}/${protocol.toLowerCase()}`);
}

const emptyEach = (keys: readonly string[]): Readonly<Record<string, object>> =>
  Object.fromEntries(keys.map((key) => [key, {}]));

/** A variable that is there keeps its place. */
function withVariable(entries: readonly string[], name: string, value: string): readonly string[] {
  const at = entries.findIndex((entry) => entry.split("=", 1)[0] === name);
  return at < 0 ? [...entries, `${name}=${value}`] : entries.with(at, `${name}=${value}`);
}

function healthcheckOf(text: string): Healthcheck {
  const { type, command, interval, timeout, startPeriod, startInterval, retries } = parseHealthcheck(text);
  if (type === "NONE") return { Test: ["NONE"] };
  const words = parseExecForm(command);
  return {
    Test: words ? ["CMD", ...words] : ["CMD-SHELL", command],
    ...(interval > 0 && { Interval: interval }),
    ...(timeout > 0 && { Timeout: timeout }),
    ...(startPeriod > 0 && { StartPeriod: startPeriod }),
    ...(startInterval > 0 && { StartInterval: startInterval }),
    ...(retries > 0 && { Retries: retries }),
  };
}

function onBuild(draft: Draft, text: string): Draft {
  const [name = ""] = text.split(/\s/, 1);
  const trigger = name.toUpperCase();
  if (trigger === "ONBUILD") throw invalid("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
  if (trigger === "FROM" || trigger === "MAINTAINER") throw invalid(`${trigger} isn't allowed as an ONBUILD trigger`);
  return change(draft, { OnBuild: [...(draft.config.OnBuild ?? []), text] });
}

function shell(draft: Draft, text: string): Draft {
  const words = parseExecForm(text);
  if (!words || words.length === 0) throw invalid("SHELL requires the arguments to be in JSON form");
  return change(draft, { Shell: words });
}

const APPLY: Readonly<Record<string, Apply>> = {
  CMD: (draft, text) => ({ ...change(draft, { Cmd: commandOf(draft, text) }), hasOwnCmd: true }),
  ENTRYPOINT: (draft, text) =>
    change(draft, { Entrypoint: commandOf(draft, text), ...(!draft.hasOwnCmd && { Cmd: null }) }),
  ENV: (draft, text, env) => {
    const pairs = parsePairs("ENV", text);
    const Env = pairs.reduce(
      (entries, [name, value]) => withVariable(entries, expandWord(name, env), expandWord(value, env)),
      draft.config.Env ?? [],
    );
    return change(draft, { Env });
  },
  EXPOSE: (draft, text, env) => {
    const ports = splitWords(text)
      .flatMap((word) => expandWord(word, env).split(/\s+/))
      .flatMap(portsOf);
    return change(draft, { ExposedPorts: { ...draft.config.ExposedPorts, ...emptyEach(ports) } });
  },
  HEALTHCHECK: (draft, text) => change(draft, { Healthcheck: healthcheckOf(text) }),
  LABEL: (draft, text, env) => {
    const pairs = parsePairs("LABEL", text).map(([name, value]) => [expandWord(name, env), expandWord(value, env)]);
    return change(draft, { Labels: { ...draft.config.Labels, ...Object.fromEntries(pairs) } });
  },
  ONBUILD: onBuild,
  SHELL: shell,
  STOPSIGNAL: (draft, text, env) => {
    const StopSignal = expandWord(text, env);
    signalNumber(StopSignal);
    return change(draft, { StopSignal });
  },
  USER: (draft, text, env) => change(draft, { User: expandWord(text, env) }),
  VOLUME: (draft, text, env) => {
    const paths = parseList(text).map((path) => expandWord(path, env));
    if (paths.includes("")) throw invalid("VOLUME specified can not be an empty string");
    return change(draft, { Volumes: { ...draft.config.Volumes, ...emptyEach(paths) } });
  },
  WORKDIR: (draft, text, env) =>
    change(draft, { WorkingDir: posix.resolve("/", draft.config.WorkingDir ?? "/", expandWord(text, env)) }),
};

function applyOne(draft: Draft, { name, text }: Instruction): Draft {
  const apply = Object.hasOwn(APPLY, name) ? APPLY[name] : undefined;
  if (!apply) throw invalid(`${name} is not a valid change command`);
  if (text === "") throw invalid(`${name} requires at least one argument`);
  return apply(draft, text, environmentOf(draft.config.Env ?? []));
}

/**
 * @param changes  one instruction or more in each, as they would stand in a Dockerfile; applied in order
 * @throws         invalid, in Docker's words
 */
export const applyChanges = (config: RunConfig, changes: readonly string[]): RunConfig =>
  parseInstructions(changes.join("\n")).reduce(applyOne, { config, hasOwnCmd: false } as Draft).config;
