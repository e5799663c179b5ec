/** `npm start`: an engine in the background if there is none, a first container, and what to type next. */

import { closeSync, openSync } from "node:fs";
import { runClient } from "./cli/main.ts";
import { DEFAULT_HOST } from "./config.ts";

const LOG = "/var/log/bosun.log";
const SOCKET = DEFAULT_HOST.replace("unix://", "");

const isServed = (): Promise<boolean> =>
  fetch("http://bosun/_ping", { unix: SOCKET }).then(
    ({ ok }) => ok,
    () => false,
  );

/** Returns when the engine answers. @throws Error when it ends before that */
async function startEngine(): Promise<void> {
  const log = openSync(LOG, "a");
  const program = [process.execPath, new URL("./main.ts", import.meta.url).pathname, "daemon"];
  const daemon = Bun.spawn(program, {
    env: { ...process.env, NOTIFY_FD: "3" },
    stdio: ["ignore", log, log, "pipe"],
    detached: true, // it outlives us and our terminal
  });
  closeSync(log);
  const [, , , ready] = daemon.stdio;
  if (typeof ready !== "number") throw new Error("Cannot wait for the engine: it got no pipe");
  const word = await Bun.file(ready).text();
  if (word === "") throw new Error(`The engine did not start: see ${LOG}`);
  daemon.unref();
}

const next = (): string => `
The engine listens on ${SOCKET}, and its log is ${LOG}. Go on with

  export DOCKER_HOST=${DEFAULT_HOST}     and use docker as always; or our own client:
  ./node_modules/.bin/bun src/main.ts run -it alpine sh

  kill $(cat /run/bosun.pid)                    stops the engine; containers run on without it
`;

async function main(): Promise<number> {
  if (process.getuid?.() !== 0) {
    process.stderr.write("The engine makes namespaces, mounts and cgroups: run this as root\n");
    return 1;
  }
  if (!(await isServed())) await startEngine();
  const code = await runClient(["--host", DEFAULT_HOST, "run", "--rm", "--network", "none", "bosun/hello"], "");
  if (code === 0) console.log(next());
  return code;
}

process.exit(await main());
