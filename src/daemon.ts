/** `bosun daemon`: from flags to a serving engine, and from a signal to a clean end. Containers run on without it. */

import { closeSync, existsSync, readFileSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { type Listener, listen } from "./api/listen.ts";
import { messageOf, unavailable } from "./base/errors.ts";
import { createLogger, type Logger } from "./base/logger.ts";
import { IdleMemory } from "./base/memory.ts";
import { type Config, parseConfig } from "./config.ts";
import { openEngine } from "./engine.ts";
import { OPTION_NAMES } from "./options.ts";
import { reload } from "./reload.ts";
import { VERSION } from "./version.ts";

/** @returns the number of the group that unix sockets belong to; root's when nobody asked for one that is missing */
function socketGroup({ group, groupGiven }: Config, log: Logger): number {
  if (/^\d+$/.test(group)) return Number(group);
  const line = readFileSync("/etc/group", "utf8")
    .split("\n")
    .find((entry) => entry.startsWith(`${group}:`));
  const id = line?.split(":")[2];
  if (id !== undefined) return Number(id);
  if (groupGiven) throw unavailable(`group ${group} not found`);
  log.warn("group not found, the socket is for root alone", { group });
  return 0;
}

/** A zombie does not run: its parent has only not looked yet. */
function isRunning(pid: number): boolean {
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, "latin1"));
  } catch {
    return false;
  }
}

/** Another daemon's file is respected, a dead one's is overwritten. */
function writePidfile(path: string): Disposable {
  const before = existsSync(path) ? Number(readFileSync(path, "utf8").trim()) : 0;
  if (before > 0 && before !== process.pid && isRunning(before))
    throw unavailable(`pid file found, ensure bosun is not running or delete ${path}`);
  writeFileSync(path, `${process.pid}\n`);
  return { [Symbol.dispose]: () => rmSync(path, { force: true }) };
}

const stopSignal = (log: Logger): Promise<void> =>
  new Promise((resolve) => {
    let asked = 0;
    const stop = (signal: NodeJS.Signals) => {
      log.info("stopping", { signal });
      resolve();
      if (++asked === 3) process.exit(1); // somebody insists, as with dockerd
    };
    process.on("SIGTERM", stop).on("SIGINT", stop);
  });

/** Requests under way may finish, those that never end (events, logs -f) are cut. */
async function drain(listeners: readonly Listener[], timeoutS: number): Promise<void> {
  const closed = Promise.all(listeners.map((listener) => listener[Symbol.asyncDispose]()));
  const late = Promise.withResolvers<void>();
  const timer = setTimeout(late.resolve, timeoutS * 1000);
  await Promise.race([closed, late.promise]);
  clearTimeout(timer);
}

/**
 * Tells whoever started us that we answer, as s6's supervisors want it told: a line on the file descriptor that NOTIFY_FD names, and its end.
 */
function notifyReady(): void {
  const fd = Number(process.env.NOTIFY_FD ?? 0);
  if (fd < 3) return;
  writeSync(fd, "ready\n");
  closeSync(fd);
}

const stackOf = (thrown: unknown): string => (thrown instanceof Error ? (thrown.stack ?? "") : "");

/** @param onHangup  for SIGHUP: somebody asks, or the terminal that started us is gone */
async function serve(config: Config, log: Logger, onHangup: () => void): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const stopped = stopSignal(log);
  process.on("SIGHUP", onHangup);
  // A defect in one request must not take the daemon from all others.
  process.on("unhandledRejection", (error) => log.error("unhandled failure", { error, stack: stackOf(error) }));
  const engine = stack.use(await openEngine(config, log));
  stack.use(writePidfile(config.pidfile));
  const group = socketGroup(config, log);
  const memory = stack.use(new IdleMemory());
  const common = { group, scratch: config.execRoot, log, onRequest: () => memory.note() };
  const listeners: Listener[] = [];
  for (const host of config.hosts) {
    listeners.push(await listen(host, engine.api, { ...common, tls: config.tls }));
    if (host.startsWith("tcp://") && !config.tls?.verify)
      log.warn("this socket gives root on this host to everybody who can reach it: use --tlsverify", { host });
    log.info("API listen on", { host });
  }
  if (config.metricsAddress !== undefined)
    listeners.push(await listen(config.metricsAddress, engine.metrics, { ...common, tls: undefined }));
  log.info("Daemon has completed initialization");
  notifyReady();
  await stopped;
  await drain(listeners, config.shutdownTimeoutS);
}

const HELP = `Usage:  bosun daemon [OPTIONS]

A container engine that speaks the Docker Engine API. The options are dockerd's:
${OPTION_NAMES.map((name) => `  ${name}`).join("\n")}`;

/** @returns the exit code */
export async function runDaemon(argv: readonly string[]): Promise<number> {
  if (argv.includes("--help") || argv.includes("-h")) {
    console.log(HELP);
    return 0;
  }
  try {
    const { config, given, only } = parseConfig(argv);
    if (only === "version") console.log(`Bosun version ${VERSION.engine}, build ${VERSION.commit}`);
    else if (only === "validate") console.log("configuration OK");
    else {
      const log = createLogger(config.logLevel, config.logFormat);
      await serve(config, log, () => reload(argv, given, log));
    }
    return 0;
  } catch (error) {
    process.stderr.write(`failed to start daemon: ${messageOf(error)}\n`);
    return 1;
  }
}
