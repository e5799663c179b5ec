/**
 * kill -9 of the daemon at any instant of what changes networks: the next one has no interface, rule, name, port or address too much, and none too
 * little. A container that published a port and has a name keeps both, all the while.
 */

import { expect, test } from "bun:test";
import { withDaemon } from "../support/api.ts";
import { killedAtInstants, type Operation } from "../support/crash.ts";
import { INSTANTS } from "../support/instants.ts";
import { lastingNetworkContradictions } from "../support/network-audit.ts";
import { until } from "../support/patience.ts";
import { freePort } from "../support/ports.ts";

const SERVER = ["sh", "-c", "while :; do echo served | nc -l -p 80; done"];
const SLEEP = ["sleep", "1000"];
/** Of the witness, and of the container that something is done to. */
const [WITNESS, PORT, MORE] = [freePort(), freePort(), freePort()];
const bindings = (port: number) => ({ "80/tcp": [{ HostIp: "0.0.0.0", HostPort: String(port) }] });

withDaemon("kill -9 of the daemon, in networks", (api) => {
  const post = (path: string, body?: unknown) => () => api.send("POST", path, body);
  const network = (name: string) => post("/networks/create", { Name: name });
  const create = () => api.create("it", SLEEP, { host: { NetworkMode: "home", PortBindings: bindings(PORT) } });
  const running = () => create().then(api.start);
  const connect = post("/networks/away/connect", {
    Container: "it",
    EndpointConfig: { Aliases: ["alias"], GwPriority: 10 }, // the way out, so that the port is led there
  });
  const connected = () => running().then(connect);
  const disconnect = post("/networks/away/disconnect", { Container: "it" });

  const operations: Readonly<Record<string, Operation>> = {
    start: { before: create, act: () => api.start("it") },
    stop: { before: running, act: post("/containers/it/stop?t=0") },
    restart: { before: running, act: post("/containers/it/restart?t=0") },
    "rm -f": { before: running, act: () => api.remove("it"), again: () => api.remove("it") },
    connect: { before: running, act: connect },
    disconnect: { before: connected, act: disconnect },
    "publish another port": {
      before: running,
      act: post("/containers/it/update", {
        PublishAdd: { "81/tcp": [{ HostIp: "0.0.0.0", HostPort: String(MORE) }] },
      }),
    },
    "network create": {
      act: network("made"),
      again: async () => {
        await api.refusalOf(api.send("DELETE", "/networks/made"));
        await network("made")();
      },
    },
  };

  let pid = 0;
  /** What the witness says; between two answers it does not listen. */
  async function served(): Promise<string> {
    const words = ["busybox", "nc", "-w", "1", "127.0.0.1", String(WITNESS)];
    let answer = "";
    await until("the witness serves", async () => {
      const { stdout } = Bun.spawn(words, { stdin: "ignore", stdout: "pipe", stderr: "ignore" });
      answer = await stdout.text();
      return answer !== "";
    });
    return answer;
  }

  async function check(when: string): Promise<void> {
    expect([when, await lastingNetworkContradictions(api.daemon, [WITNESS, PORT, MORE])]).toEqual([when, []]);
    expect([when, (await api.inspect("witness")).State.Pid, await served()]).toEqual([when, pid, "served\n"]);
  }

  test("a container serves, all the while", async () => {
    for (const name of ["home", "away"]) await network(name)();
    await api.run("witness", SERVER, { host: { NetworkMode: "home", PortBindings: bindings(WITNESS) } });
    pid = (await api.inspect("witness")).State.Pid;
    expect(await served()).toBe("served\n");
  });

  test.each(Object.keys(operations))("at any instant of %s everything holds", async (name) => {
    const operation = operations[name] ?? { act: async () => {} };
    const tidy = async () => {
      await api.remove("it");
      await api.refusalOf(api.send("DELETE", "/networks/made"));
    };
    await tidy();
    await killedAtInstants(api, operation, { tidy, check, rounds: Math.ceil(INSTANTS / 4) });
  });

  test("networks without containers can be removed", async () => {
    await api.remove("witness");
    for (const name of ["home", "away"]) await api.send("DELETE", `/networks/${name}`);
    expect(api.daemon.bridges().length).toBe(1);
  });
});
