/**
 * An engine's own host, as far as networks go: a network namespace for the engine, and one for its neighbour at the other end of a cable. What engines
 * do to bridges, rules and ports then meets nobody else's, and goes with the namespace.
 */

import { PATH } from "./engine.ts";

/** Of the network for benchmarks. Source: RFC 2544, appendix C.2.2 */
const INSIDE = "198.18.0.1";
const OUTSIDE = "198.18.0.2";

const HOLDER = "ip link set lo up && echo ready && exec sleep infinity";

/** $1 pid of the neighbour. */
const CABLE = `
ip link add cable type veth peer name cable netns "$1" &&
ip address add ${INSIDE}/30 dev cable && ip link set cable up &&
nsenter -t "$1" -n sh -c 'ip address add ${OUTSIDE}/30 dev cable && ip link set cable up'
`;

type Holder = Bun.Subprocess<"ignore", "pipe", "pipe">;

/** @throws Error when the namespace cannot be made */
async function hold(): Promise<Holder> {
  const holder = Bun.spawn(["unshare", "-n", "sh", "-c", HOLDER], {
    detached: true, // ^C is not for it
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    env: { ...process.env, PATH },
  });
  const { done } = await holder.stdout.getReader().read();
  if (done) throw new Error(`Cannot make a network namespace: ${await holder.stderr.text()}`);
  return holder;
}

const enter = ({ pid }: Holder, words: readonly string[]): string[] => [
  "nsenter",
  "-t",
  `${pid}`,
  "-n",
  "--",
  ...words,
];

export class Pen implements AsyncDisposable {
  /** The engine's host, as its neighbour sees it. */
  readonly address = INSIDE;

  private constructor(
    readonly engine: Holder,
    readonly neighbour: Holder,
  ) {}

  /** @throws Error when it cannot be made */
  static async open(): Promise<Pen> {
    await using undo = new AsyncDisposableStack();
    const engine = await hold();
    undo.defer(() => void engine.kill("SIGKILL"));
    const pen = undo.use(new Pen(engine, await hold()));
    const cable = Bun.spawn(pen.inside("sh", "-c", CABLE, "cable", `${pen.neighbour.pid}`), {
      stdin: "ignore",
      stderr: "pipe",
      env: { ...process.env, PATH },
    });
    if ((await cable.exited) !== 0) throw new Error(`Cannot join network namespaces: ${await cable.stderr.text()}`);
    undo.move();
    return pen;
  }

  /** @returns the command as the host runs it */
  inside(...words: string[]): string[] {
    return enter(this.engine, words);
  }

  /** @returns the command as the host runs it */
  outside(...words: string[]): string[] {
    return enter(this.neighbour, words);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const holder of [this.engine, this.neighbour]) {
      holder.kill("SIGKILL");
      await holder.exited;
    }
  }
}
