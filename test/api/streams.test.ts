/** Streams: attach and exec over taken connections and plain ones, logs, events; with a runtime that is made up. */

import { describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { House } from "../support/house.ts";

const RAW = "application/vnd.docker.raw-stream";
const FRAMED = "application/vnd.docker.multiplexed-stream";

const textOf = (stream: Duplex | undefined): Promise<string> =>
  new Promise((resolve) => {
    let text = "";
    stream?.on("data", (chunk: Buffer) => {
      text += chunk.toString("latin1");
    });
    stream?.once("end", () => resolve(text));
  });

const framed = (stream: number, text: string): string =>
  `${String.fromCharCode(stream)}\0\0\0\0\0\0${String.fromCharCode(text.length)}${text}`;

describe("POST /containers/{id}/attach", () => {
  test("attach before the start gets every byte, in frames, and its end", async () => {
    await using house = await House.open();
    const id = await house.create(["echo", "hello"]);
    const { status, client, acceptedAs } = await house.ask(
      `POST /v1.42/containers/${id}/attach?stream=1&stdout=1&stderr=1`,
      { upgrade: true },
    );
    expect([status, acceptedAs]).toEqual([101, FRAMED]);
    const text = textOf(client);
    await house.json(`POST /containers/${id}/start`);
    expect(await text).toBe(framed(1, "hello\n"));
  });

  test("attach while the program is let go gets every byte as well", async () => {
    await using house = await House.open();
    const id = await house.create(["echo", "hello"]);
    const [reached, held] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    house.runtime.at = async (step) => {
      if (step !== "go") return;
      reached.resolve();
      await held.promise;
    };
    const starting = house.json(`POST /containers/${id}/start`);
    await reached.promise;
    const { client } = await house.ask(`POST /containers/${id}/attach?stream=1&stdout=1`, { upgrade: true });
    const text = textOf(client);
    held.resolve();
    await starting;
    expect(await text).toBe(framed(1, "hello\n"));
  });

  test("attach gives input when there is some to give, and its end ends the program's", async () => {
    await using house = await House.open();
    const id = await house.run(["cat"], { OpenStdin: true });
    const { client } = await house.ask(`POST /containers/${id}/attach?stream=1&stdin=1&stdout=1`, { upgrade: true });
    const text = textOf(client);
    client?.end("typed");
    expect(await text).toBe(framed(1, "typed"));
  });

  test("attach does not give input to a container without stdin", async () => {
    await using house = await House.open();
    const id = await house.run(["cat"]);
    const { client } = await house.ask(`POST /containers/${id}/attach?stream=1&stdin=1&stdout=1`, { upgrade: true });
    const text = textOf(client);
    client?.write("typed");
    house.task(id).print("printed");
    house.task(id).end(0);
    expect(await text).toBe(framed(1, "printed"));
  });

  test.each<[version: string, tty: boolean, type: string]>([
    ["/v1.41", false, RAW],
    ["/v1.42", false, FRAMED],
    ["", false, FRAMED],
    ["/v1.42", true, RAW],
  ])("attach at %p with a terminal %p is told as %s", async (version, tty, type) => {
    await using house = await House.open();
    const id = await house.run(["sleep"], { Tty: tty });
    expect(
      (await house.ask(`POST ${version}/containers/${id}/attach?stream=1&stdout=1`, { upgrade: true })).acceptedAs,
    ).toBe(type);
  });

  test("attach without an upgrade is a plain answer, always raw", async () => {
    await using house = await House.open();
    const id = await house.run(["sleep"]);
    const { status, headers, response } = await house.ask(`POST /containers/${id}/attach?stream=1&stdout=1`);
    expect([status, headers.get("Content-Type")]).toEqual([200, RAW]);
    house.task(id).print("printed");
    house.task(id).end(0);
    expect(await response.text()).toBe(framed(1, "printed"));
  });

  test("attach with a terminal is left by its keys, and the program runs on", async () => {
    await using house = await House.open();
    const id = await house.run(["cat"], { Tty: true, OpenStdin: true });
    const { client } = await house.ask(`POST /containers/${id}/attach?stream=1&stdin=1&stdout=1&detachKeys=ctrl-a,x`, {
      upgrade: true,
    });
    const text = textOf(client);
    client?.write("typed\x01x");
    await text; // the connection has ended
    expect(house.containers.get(id).state.phase).toBe("running");
    const events = await Array.fromAsync(house.events.watch({ since: 0n, signal: AbortSignal.abort() }));
    expect(events.map(({ action }) => action)).toContain("detach");
  });

  test("attach that replays gives what the log holds first", async () => {
    await using house = await House.open();
    const id = await house.run(["sleep"]);
    writeFileSync(
      join(house.records.folder(id), `${id}-json.log`),
      '{"log":"before\\n","stream":"stderr","time":"2024-01-01T00:00:00Z"}\n',
    );
    const { client } = await house.ask(`POST /containers/${id}/attach?logs=1&stdout=1&stderr=1`, { upgrade: true });
    expect(await textOf(client)).toBe(framed(2, "before\n"));
  });

  test("attach is refused before it is taken over", async () => {
    await using house = await House.open();
    const id = await house.create(["sleep"]);
    for (const [line, status] of [
      ["POST /containers/nobody/attach?stream=1", 404],
      [`POST /containers/${id}/attach?stream=1&detachKeys=ctrl-`, 400],
    ] as const) {
      const answer = await house.ask(line, { upgrade: true });
      expect([answer.status, answer.client]).toEqual([status, undefined]);
    }
  });

  test("attach ends when the container is removed before it was ever started", async () => {
    await using house = await House.open();
    const id = await house.create(["sleep"]);
    const { client } = await house.ask(`POST /containers/${id}/attach?stream=1&stdout=1`, { upgrade: true });
    const text = textOf(client);
    await house.json(`DELETE /containers/${id}`);
    expect(await text).toBe("");
  });
});

describe("exec", () => {
  const created = async (house: House, container: string, body: object): Promise<string> => {
    const answer = await house.json(`POST /containers/${container}/exec`, body);
    expect(answer.status).toBe(201);
    return String(answer.body.Id);
  };

  test("exec runs, tells its output and its code", async () => {
    await using house = await House.open();
    const id = await house.run(["sleep"]);
    const exec = await created(house, id, { Cmd: ["echo", "inside"], AttachStdout: true });
    expect((await house.json(`GET /exec/${exec}/json`)).body).toMatchObject({
      ID: exec,
      Running: false,
      ExitCode: null,
      ContainerID: id,
      Pid: 0,
    });
    const shown = async () => (await house.json(`GET /containers/${id}/json`)).body.ExecIDs;
    expect(await shown()).toEqual([exec]);
    const { client, acceptedAs } = await house.ask(`POST /exec/${exec}/start`, { body: { Tty: false }, upgrade: true });
    expect(acceptedAs).toBe(FRAMED);
    expect(await textOf(client)).toBe(framed(1, "inside\n"));
    expect((await house.json(`GET /exec/${exec}/json`)).body).toMatchObject({ Running: false, ExitCode: 0 });
    expect(await shown()).toBeNull();
    expect(house.runtime.tasks.size).toBe(1); // the container's
  });

  test("exec that is detached answers at once", async () => {
    await using house = await House.open();
    const id = await house.run(["sleep"]);
    const exec = await created(house, id, { Cmd: ["sleep"] });
    const { status, response } = await house.ask(`POST /exec/${exec}/start`, { body: { Detach: true } });
    expect([status, await response.text()]).toEqual([200, ""]);
    expect((await house.json(`GET /exec/${exec}/json`)).body).toMatchObject({ Running: true, ExitCode: null });
    expect((await house.json(`POST /exec/${exec}/start`, { Detach: true })).status).toBe(409);
    house.task(`${id}/${exec}`).end(3);
    await Promise.resolve();
    expect((await house.json(`GET /exec/${exec}/json`)).body).toMatchObject({ Running: false, ExitCode: 3 });
  });

  test("exec of a program that is missing says so in the stream, and keeps 127", async () => {
    await using house = await House.open();
    const id = await house.run(["sleep"]);
    const exec = await created(house, id, { Cmd: ["nowhere"], AttachStdout: true, AttachStderr: true });
    const { client } = await house.ask(`POST /exec/${exec}/start`, { body: {}, upgrade: true });
    expect(await textOf(client)).toContain(
      'OCI runtime exec failed: exec failed: unable to start container process: exec: "nowhere": executable file not found in $PATH',
    );
    expect((await house.json(`GET /exec/${exec}/json`)).body).toMatchObject({ Running: false, ExitCode: 127 });
  });

  test.each<[name: string, body: unknown, status: number]>([
    ["no command", {}, 400],
    ["an empty command", { Cmd: [""] }, 400],
    ["a broken variable", { Cmd: ["x"], Env: ["=x"] }, 400],
    ["broken keys", { Cmd: ["x"], DetachKeys: "ctrl-" }, 400],
  ])("exec with %s is refused", async (_, body, status) => {
    await using house = await House.open();
    const id = await house.run(["sleep"]);
    expect((await house.json(`POST /containers/${id}/exec`, body)).status).toBe(status);
  });

  test("exec needs a container that runs, and an exec that is", async () => {
    await using house = await House.open();
    const id = await house.create(["sleep"]);
    expect(await house.json(`POST /containers/${id}/exec`, { Cmd: ["x"] })).toMatchObject({
      status: 409,
      body: { message: `container ${id} is not running` },
    });
    expect(await house.json("GET /exec/nobody/json")).toMatchObject({
      status: 404,
      body: { message: "No such exec instance: nobody" },
    });
    expect((await house.json("POST /exec/nobody/start")).status).toBe(404);
    expect((await house.json("POST /exec/nobody/resize?h=1&w=1")).status).toBe(404);
  });

  test("exec gives its terminal the size of the start, and of later", async () => {
    await using house = await House.open();
    const id = await house.run(["sleep"]);
    const exec = await created(house, id, { Cmd: ["sleep"], Tty: true, AttachStdout: true });
    await house.ask(`POST /exec/${exec}/start`, { body: { Tty: true, ConsoleSize: [11, 22] }, upgrade: true });
    // `start` has taken the connection over before the process is made
    while (!(await house.json(`GET /exec/${exec}/json`)).body.Pid) await Promise.resolve();
    expect((await house.json(`POST /exec/${exec}/resize?h=33&w=44`)).status).toBe(200);
    expect(house.task(`${id}/${exec}`).sizes).toEqual([
      [11, 22],
      [33, 44],
    ]);
  });
});

describe("GET /containers/{id}/logs", () => {
  const LOG = ["out", "err", "out"]
    .map(
      (name, at) =>
        `${JSON.stringify({ log: `${name} ${at}\n`, stream: `std${name}`, time: `2024-01-01T00:00:0${at}.5Z` })}\n`,
    )
    .join("");

  const logs = async (
    query: string,
    more: object = {},
  ): Promise<{ status: number; type: string | null; text: string }> => {
    await using house = await House.open();
    const id = await house.create(["sleep"], more);
    writeFileSync(join(house.records.folder(id), `${id}-json.log`), LOG);
    const { status, headers, response } = await house.ask(`GET /containers/${id}/logs${query}`);
    return {
      status,
      type: headers.get("Content-Type"),
      text: Buffer.from(await response.arrayBuffer()).toString("latin1"),
    };
  };

  test.each<[query: string, text: string]>([
    ["?stdout=1&stderr=1", framed(1, "out 0\n") + framed(2, "err 1\n") + framed(1, "out 2\n")],
    ["?stdout=1", framed(1, "out 0\n") + framed(1, "out 2\n")],
    ["?stderr=1", framed(2, "err 1\n")],
    ["?stdout=1&stderr=1&tail=1", framed(1, "out 2\n")],
    ["?stdout=1&tail=all&timestamps=1&until=1704067201", framed(1, "2024-01-01T00:00:00.500000000Z out 0\n")],
    ["?stdout=1&stderr=1&since=1704067201.5&until=1704067201.500000000", framed(2, "err 1\n")],
    ["?stdout=1&details=1&tail=1", framed(1, " out 2\n")],
    ["?stdout=1&follow=1&tail=1", framed(1, "out 2\n")], // it does not run: there is nothing to wait for
    ["?stdout=1&tail=x", framed(1, "out 0\n") + framed(1, "out 2\n")],
  ])("logs%s", async (query, text) => {
    expect(await logs(query)).toEqual({ status: 200, type: FRAMED, text });
  });

  test("logs of a terminal are raw", async () => {
    expect(await logs("?stdout=1&tail=1", { Tty: true })).toEqual({ status: 200, type: RAW, text: "out 2\n" });
  });

  test.each<[query: string, more: object, status: number, words: string]>([
    ["", {}, 400, "Bad parameters: you must choose at least one stream"],
    ["?stdout=1&since=yesterday", {}, 400, "since"],
    [
      "?stdout=1",
      { HostConfig: { LogConfig: { Type: "none" } } },
      501,
      "configured logging driver does not support reading",
    ],
  ])("logs%s of %p is refused", async (query, more, status, words) => {
    const answer = await logs(query, more);
    expect([answer.status, answer.text]).toEqual([status, expect.stringContaining(words)]);
  });

  test("logs that follow send their headers at once and end with the container", async () => {
    await using house = await House.open();
    const id = await house.run(["sleep"]);
    const { status, response } = await house.ask(`GET /containers/${id}/logs?stdout=1&follow=1`);
    expect(status).toBe(200);
    writeFileSync(join(house.records.folder(id), `${id}-json.log`), LOG);
    house.task(id).end(0);
    expect(await response.text()).toContain("out 2");
  });

  test("logs that follow end when the client leaves", async () => {
    await using house = await House.open();
    const id = await house.run(["sleep"]);
    const left = new AbortController();
    const { response } = await house.ask(`GET /containers/${id}/logs?stdout=1&follow=1`, { signal: left.signal });
    const text = response.text();
    left.abort();
    expect(await text).toBe("");
  });
});
