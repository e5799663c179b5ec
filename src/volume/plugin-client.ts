/**
 * Asking a plugin: HTTP with JSON, a POST for each call. What a plugin does wrong (it hangs, it answers nonsense, or without end) is a failure of
 * that call, in bounded time and memory. Source: Docker's documentation, "Docker Plugin API".
 */

import { corrupt, internal, messageOf, notFound, unavailable } from "../base/errors.ts";
import { isObject } from "../base/objects.ts";
import { locatePlugin, type PluginAddress, type PluginFolders } from "./plugin-address.ts";

const CONTENT_TYPE = "application/vnd.docker.plugins.v1.2+json";
const INTERFACE = "VolumeDriver";

/** Bytes; a list of ten thousand volumes has about one million. */
const LONGEST_ANSWER = 8 << 20;

export interface PluginLimits {
  /** Of what may make a server do something. Docker's. */
  readonly longMs: number;
  /** Of questions. */
  readonly shortMs: number;
}

export const PLUGIN_LIMITS: PluginLimits = { longMs: 120_000, shortMs: 10_000 };

export type Answer = Readonly<Record<string, unknown>>;

/** @throws corrupt when there is more than anybody needs */
async function textOf(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += chunk.byteLength;
    if (size > LONGEST_ANSWER) throw corrupt(`its answer has more than ${LONGEST_ANSWER} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

function parse(text: string): Answer {
  let value: unknown;
  try {
    value = text.trim() === "" ? {} : JSON.parse(text);
  } catch {
    throw corrupt("its answer is no JSON");
  }
  if (!isObject(value)) throw corrupt("its answer is no object");
  return value;
}

export class PluginClient {
  #activated: PluginAddress | undefined;

  constructor(
    readonly name: string,
    readonly folders: PluginFolders,
    readonly limits: PluginLimits,
  ) {}

  /**
   * @param method   as `Mount`
   * @param isLong   whether it may take its time
   * @returns        the answer, which says of no failure
   * @throws notFound without such a plugin, internal with the plugin's own words, unavailable or corrupt when it misbehaves
   */
  async call(method: string, body: Answer, isLong: boolean): Promise<Answer> {
    const signal = AbortSignal.timeout(isLong ? this.limits.longMs : this.limits.shortMs);
    const address = this.#activated ?? (await this.#activate(signal));
    return this.#post(address, `${INTERFACE}.${method}`, body, signal);
  }

  /** Asks what it is, once; and again when it could not be reached meanwhile. */
  async #activate(signal: AbortSignal): Promise<PluginAddress> {
    const address = await locatePlugin(this.folders, this.name);
    if (!address) throw notFound(`plugin ${JSON.stringify(this.name)} not found`);
    const { Implements: found } = await this.#post(address, "Plugin.Activate", {}, signal);
    if (!Array.isArray(found) || !found.includes(INTERFACE))
      throw internal(`plugin ${JSON.stringify(this.name)} does not implement ${JSON.stringify(INTERFACE)}`);
    this.#activated = address;
    return address;
  }

  async #post(address: PluginAddress, path: string, body: Answer, signal: AbortSignal): Promise<Answer> {
    let answer: Answer;
    try {
      answer = await this.#exchange(address, path, body, signal);
    } catch (error) {
      this.#activated = undefined;
      const cause = signal.aborted ? "it does not answer" : messageOf(error);
      throw unavailable(`plugin ${JSON.stringify(this.name)}: ${path}: ${cause}`, { cause: error });
    }
    if (typeof answer.Err === "string" && answer.Err !== "") throw internal(`${path}: ${answer.Err.slice(0, 4096)}`);
    return answer;
  }

  async #exchange({ url, unix, tls }: PluginAddress, path: string, body: Answer, signal: AbortSignal): Promise<Answer> {
    const response = await fetch(`${url}/${path}`, {
      method: "POST",
      headers: { "Content-Type": CONTENT_TYPE, Accept: CONTENT_TYPE, "Accept-Encoding": "identity" },
      body: JSON.stringify(body),
      redirect: "error",
      decompress: false, // what is small must not become large
      signal,
      ...(unix !== undefined && { unix }),
      ...(tls && { tls }),
    });
    const text = await textOf(response);
    if (response.ok) return parse(text);
    const told = textIn(text);
    return { Err: told === "" ? `status ${response.status}` : told };
  }
}

/** What a refusal says: `{"Err": "…"}`, or plain text. */
function textIn(text: string): string {
  try {
    const { Err } = parse(text);
    if (typeof Err === "string") return Err;
  } catch {
    // plain text, then
  }
  return text.trim().slice(0, 4096);
}
