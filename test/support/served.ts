/** `bosun registry serve` beside a test, on a free loopback port. */

const PROGRAM = new URL("../../src/main.ts", import.meta.url).pathname;

export class ServedRegistry implements AsyncDisposable {
  private constructor(
    readonly host: string,
    readonly process: Bun.Subprocess,
  ) {}

  /** @param env  with DOCKER_HOST. @throws Error with what it says when it does not serve */
  static async start(env: Readonly<Record<string, string>>, ...flags: readonly string[]): Promise<ServedRegistry> {
    const child = Bun.spawn([process.execPath, PROGRAM, "registry", "serve", "--listen", "127.0.0.1:0", ...flags], {
      env,
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
    const reader = child.stdout.getReader();
    const decoder = new TextDecoder();
    let text = "";
    for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
      text += decoder.decode(piece.value, { stream: true });
      const [, host] = /^Serving images on (\S+)$/m.exec(text) ?? [];
      if (host !== undefined) return new ServedRegistry(host, child);
    }
    throw new Error(`registry serve ended: ${text}${await child.stderr.text()}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.process.kill();
    await this.process.exited;
  }
}
