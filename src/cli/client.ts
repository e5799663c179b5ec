/** HTTP to an engine, ours or any that speaks the Docker Engine API: over a unix socket or TCP. */

import net from "node:net";

/** What the daemon answered instead of success. */
export class DaemonError extends Error {
  override readonly name = "DaemonError";
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

export interface RequestOptions {
  /** A list is given as often as it has members. */
  readonly query?: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly json?: unknown;
  readonly body?: ReadableStream<Uint8Array> | Blob;
  readonly headers?: Readonly<Record<string, string>>;
  /** As `/v1.50`, for what older ones do not have. */
  readonly api?: string;
}

/** Spoken unless a request needs a newer one. */
const API = "/v1.47";

type Address = { readonly path: string } | { readonly host: string; readonly port: number };

/** @throws Error for an address that is neither unix:// nor tcp:// */
export function parseHost(text: string): Address {
  if (text.startsWith("unix://")) return { path: text.slice("unix://".length) };
  const url = URL.parse(text.replace(/^http:/, "tcp:")); // of http: the port 80 would be left out
  if (url?.protocol !== "tcp:" || url.port === "") throw new Error(`unable to parse docker host \`${text}\``);
  return { host: url.hostname, port: Number(url.port) };
}

async function check(response: Response): Promise<Response> {
  if (response.ok || response.status === 304) return response;
  const text = await response.text();
  let message = text.trim();
  try {
    const body: { message?: unknown } = JSON.parse(text);
    if (typeof body.message === "string") message = body.message;
  } catch {
    // some proxies answer in plain text
  }
  throw new DaemonError(response.status, message || `request returned ${response.status}`);
}

export class Client {
  readonly #address: Address;

  constructor(readonly host: string) {
    this.#address = parseHost(host);
  }

  #unreachable(cause: unknown): Error {
    return new Error(`Cannot connect to the Docker daemon at ${this.host}. Is the docker daemon running?`, { cause });
  }

  static #target(path: string, query: RequestOptions["query"] = {}, api = API): string {
    const search = new URLSearchParams();
    for (const [name, value] of Object.entries(query))
      for (const each of value === undefined ? [] : [value].flat()) search.append(name, each);
    return `${api}${path}${search.size > 0 ? `?${search}` : ""}`;
  }

  /** Resolves with the headers; the body may go on without end. @throws DaemonError */
  async request(method: string, path: string, options: RequestOptions = {}): Promise<Response> {
    const { query, json, body, headers, api } = options;
    const address = this.#address;
    const base = "path" in address ? "http://docker" : `http://${address.host}:${address.port}`;
    const response = await fetch(base + Client.#target(path, query, api), {
      method,
      headers: { ...headers, ...(json !== undefined && { "Content-Type": "application/json" }) },
      ...(json !== undefined && { body: JSON.stringify(json) }),
      ...(body && { body, duplex: "half" }),
      ...("path" in address && { unix: address.path }),
      // `wait` and `logs -f` last as long as the container does
      timeout: false,
    }).catch((error: unknown) => {
      throw this.#unreachable(error);
    });
    return check(response);
  }

  async get<T>(path: string, query?: RequestOptions["query"]): Promise<T> {
    const response = await this.request("GET", path, query ? { query } : {});
    return response.json() as Promise<T>;
  }

  async post<T>(path: string, options?: RequestOptions): Promise<T> {
    const response = await this.request("POST", path, options);
    return response.json() as Promise<T>;
  }

  /** Objects of a JSON stream, as they come. */
  async *objects<T>(response: Response): AsyncGenerator<T> {
    const decoder = new TextDecoder();
    let rest = "";
    for await (const chunk of response.body ?? []) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) if (line.trim() !== "") yield JSON.parse(line) as T;
    }
    if (rest.trim() !== "") yield JSON.parse(rest) as T;
  }

  /** A connection on which nothing has been said. @throws Error when nobody listens */
  async dial(): Promise<net.Socket> {
    const socket = net.connect({ ...this.#address, allowHalfOpen: true });
    await new Promise<void>((resolve, reject) => {
      socket.once("connect", resolve).once("error", (error) => reject(this.#unreachable(error)));
    });
    return socket;
  }

  /** Takes a connection over: the raw stream behind `101 UPGRADED`. @throws DaemonError */
  async hijack(path: string, { query, json }: Pick<RequestOptions, "query" | "json"> = {}): Promise<net.Socket> {
    const socket = await this.dial();
    const body = json === undefined ? "" : JSON.stringify(json);
    socket.write(
      [
        `POST ${Client.#target(path, query)} HTTP/1.1`,
        "Host: docker",
        "Connection: Upgrade",
        "Upgrade: tcp",
        "Content-Type: application/json",
        `Content-Length: ${Buffer.byteLength(body)}`,
        "",
        body,
      ].join("\r\n"),
    );
    const { head, rest } = await readHead(socket);
    const status = Number(/^HTTP\/1\.1 (\d+)/.exec(head)?.[1]);
    if (status !== 101 && status !== 200) {
      const text = rest.toString() + (await restOf(socket));
      await check(new Response(text, { status: status || 500 }));
    }
    if (rest.length > 0) socket.unshift(rest);
    return socket;
  }
}

/** @returns the response head, and the bytes that came with it */
function readHead(socket: net.Socket): Promise<{ head: string; rest: Buffer }> {
  return new Promise((resolve, reject) => {
    let seen = Buffer.alloc(0);
    const onData = (chunk: Buffer) => {
      seen = Buffer.concat([seen, chunk]);
      const end = seen.indexOf("\r\n\r\n");
      if (end < 0) return;
      socket.pause();
      socket.off("data", onData).off("close", onClose);
      resolve({ head: seen.toString("latin1", 0, end), rest: seen.subarray(end + 4) });
    };
    const onClose = () => reject(new Error("the daemon closed the connection"));
    socket.on("data", onData).once("close", onClose);
  });
}

async function restOf(socket: net.Socket): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}
