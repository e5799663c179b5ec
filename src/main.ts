/** The command line's first fork: `bosun daemon` is the engine, everything else is a client of one. */

const USAGE = `Usage:  bosun COMMAND

  daemon    run the engine (see 'bosun daemon --help')
  bench     measure it, beside rivals (see bench/run.ts)

and as a client of an engine, as with docker:`;

/** `bosun -d` is what `docker -d` was. */
async function main(argv: readonly string[]): Promise<number> {
  const [command, ...rest] = argv;
  if (command === "daemon" || command === "-d") {
    const { runDaemon } = await import("./daemon.ts");
    process.exit(await runDaemon(rest)); // connections to the shims of running containers would keep the process
  }
  if (command === "bench") {
    const { runBench } = await import("../bench/run.ts");
    return runBench(rest);
  }
  const { runClient } = await import("./cli/main.ts");
  return runClient(argv, USAGE);
}

process.exitCode = await main(process.argv.slice(2));

export {};
