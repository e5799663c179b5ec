/** The name service between programs that ask for anything, and servers that answer anything: it goes on, and believes only what was asked for. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { a, addressesIn, answerTo, parse, question, RCODE, record, TYPE, u16, wireName } from "../support/dns.ts";
import { NameServer } from "../support/name-server.ts";

const UPSTREAM = "127.0.0.53";
const GOOD = "192.0.2.1";
const EVIL = a("6.6.6.6");

/** A name that is a pointer, or begins with these labels and goes on at one. */
const pointing = (to: number, ...labels: readonly string[]): Buffer =>
  Buffer.concat([...labels.map((label) => wireName(label).subarray(0, -1)), u16(0xc000 | to)]);

/** An answer with another question in it. */
const asking = (asked: Buffer, name: string, type: number): Buffer =>
  answerTo(question(name, type, { id: asked.readUInt16BE(0) }), { answers: [EVIL] });

function changed(bytes: Buffer, at: number, value: number): Buffer {
  const copy = Buffer.from(bytes);
  copy.writeUInt8(value, at);
  return copy;
}

/** The same every time. @returns a number below `below` */
function dice(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

function damaged(bytes: Buffer, roll: (below: number) => number): Buffer {
  const copy = Buffer.from(bytes.subarray(0, roll(4) === 0 ? roll(bytes.length + 1) : bytes.length));
  for (let left = roll(6); left > 0 && copy.length > 0; left--) copy.writeUInt8(roll(256), roll(copy.length));
  return copy;
}

describe.skipIf(process.getuid?.() !== 0)("names from hostile servers, for hostile programs", () => {
  let server: NameServer;
  let count = 0;
  /** Never asked before. */
  const fresh = () => `n${++count}.example`;

  const start = () =>
    NameServer.start({
      "networks/n1": "network mine\nhost 10.9.0.2 - db\n",
      "containers/c1": `network n1\nserver own ${UPSTREAM}\n`,
    });
  beforeAll(async () => {
    server = await start();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  const isAlive = async ({ agent } = server) =>
    expect(addressesIn(await agent.ask(question("db", TYPE.A)))).toEqual(["10.9.0.2"]);

  test.each<[name: string, answer: (asked: Buffer) => Buffer]>([
    ["another id", (asked) => answerTo(asked, { id: asked.readUInt16BE(0) ^ 1, answers: [EVIL] })],
    ["another name", (asked) => asking(asked, "other.example", TYPE.A)],
    ["another type", (asked) => asking(asked, parse(asked).question, TYPE.AAAA)],
    ["no question", (asked) => Buffer.concat([u16(asked.readUInt16BE(0), 0x8180, 0, 1, 0, 0), EVIL])],
    ["a question, not an answer", (asked) => changed(answerTo(asked, { answers: [EVIL] }), 2, 0x01)],
    ["more records than there are", (asked) => changed(answerTo(asked, { answers: [EVIL] }), 7, 9)],
    ["an end in the middle", (asked) => answerTo(asked, { answers: [EVIL] }).subarray(0, -2)],
    [
      "more than a datagram may have",
      (asked) => Buffer.concat([answerTo(asked, { answers: [EVIL] }), Buffer.alloc(5000)]),
    ],
    ["an address of five bytes", (asked) => answerTo(asked, { answers: [record(TYPE.A, 60, Buffer.alloc(5)), EVIL] })],
    [
      "a name that is itself",
      (asked) => answerTo(asked, { answers: [record(TYPE.A, 60, Buffer.alloc(4), pointing(asked.length))] }),
    ],
    [
      "a name that leads back to itself",
      (asked) => answerTo(asked, { answers: [record(TYPE.A, 60, Buffer.alloc(4), pointing(asked.length, "a"))] }),
    ],
    [
      "a name that leads on",
      (asked) => answerTo(asked, { answers: [record(TYPE.A, 60, Buffer.alloc(4), pointing(0x3fff))] }),
    ],
    [
      "a name in the header",
      (asked) => answerTo(asked, { answers: [record(TYPE.A, 60, Buffer.alloc(4), pointing(0))] }),
    ],
    [
      "a loop in the data",
      (asked) => answerTo(asked, { answers: [record(TYPE.CNAME, 60, pointing(asked.length + 12)), EVIL] }),
    ],
    [
      "a label of a type that there is not",
      (asked) => answerTo(asked, { answers: [record(TYPE.A, 60, Buffer.alloc(4), Buffer.of(0x80, 0))] }),
    ],
    ["nothing", () => Buffer.alloc(0)],
  ])("an answer with %s is not believed, the right one after it is", async (_, evil) => {
    await server.agent.serve(UPSTREAM, (asked) => [evil(asked), answerTo(asked, { answers: [a(GOOD)] })]);
    expect(addressesIn(await server.agent.ask(question(fresh(), TYPE.A)))).toEqual([GOOD]);
  });

  test("what a server adds is not remembered for names that were not asked for", async () => {
    const victim = fresh();
    const about = (name: string, address: string) =>
      record(TYPE.A, 3600, Buffer.from(address.split(".").map(Number)), wireName(name));
    await server.agent.serve(UPSTREAM, (asked) => {
      const isVictim = parse(asked).question === victim;
      return [
        answerTo(asked, {
          answers: isVictim ? [a(GOOD)] : [a(GOOD), about(victim, "6.6.6.6"), about("db", "6.6.6.6")],
        }),
      ];
    });
    await server.agent.ask(question(fresh(), TYPE.A));
    expect(addressesIn(await server.agent.ask(question(victim, TYPE.A)))).toEqual([GOOD]);
    await isAlive();
  });

  test("ids of questions cannot be told from those before, nor ports", async () => {
    const ids = new Set<number>();
    await server.agent.serve(UPSTREAM, (asked) => {
      ids.add(asked.readUInt16BE(0));
      return [answerTo(asked, { rcode: RCODE.noName })];
    });
    for (let at = 0; at < 20; at++) await server.agent.ask(question(fresh(), TYPE.A, { id: 1 }));
    expect(ids.size).toBeGreaterThan(15);
    const sorted = [...ids].toSorted((one, other) => one - other);
    expect((sorted.at(-1) ?? 0) - (sorted[0] ?? 0)).toBeGreaterThan(1000);
  });

  test.each<[name: string, query: Buffer, rcode: number]>([
    ["another operation", changed(question("db", TYPE.A), 2, 0x28), RCODE.notImplemented],
    ["two questions", changed(question("db", TYPE.A), 5, 2), RCODE.format],
    ["no question", changed(question("db", TYPE.A), 5, 0), RCODE.format],
    ["a label without its end", question("db", TYPE.A).subarray(0, 14), RCODE.format],
    [
      "a name that is compressed",
      Buffer.concat([question("db", TYPE.A).subarray(0, 12), u16(0xc00c, 1, 1)]),
      RCODE.format,
    ],
    ["a name of 300 bytes", question(Array.from({ length: 5 }, () => "x".repeat(59)).join("."), TYPE.A), RCODE.format],
    ["more records than there are", changed(question("db", TYPE.A), 11, 3), RCODE.format],
  ])("a query with %s is refused", async (_, query, rcode) => {
    expect(parse(await server.agent.ask(query)).rcode).toBe(rcode);
    await isAlive();
  });

  test("what is no query gets no answer, and harms nobody", async () => {
    for (const bytes of [Buffer.of(1), Buffer.alloc(11), changed(question("db", TYPE.A), 2, 0x80), Buffer.alloc(9000)])
      server.agent.say(bytes);
    await isAlive();
  });

  test("names with dots and NULs in their labels are not those of containers", async () => {
    await server.agent.serve(UPSTREAM, (asked) => [answerTo(asked, { rcode: RCODE.noName })]);
    for (const label of ["db.mine", "db\0", "db mine"]) {
      const wire = Buffer.concat([Buffer.of(label.length), Buffer.from(label), Buffer.of(0)]);
      const query = Buffer.concat([question("", TYPE.A).subarray(0, 12), wire, u16(TYPE.A, 1)]);
      expect(parse(await server.agent.ask(query)).rcode).toBe(RCODE.noName);
    }
  });

  test("damaged messages of all kinds, from both sides", async () => {
    const roll = dice(7);
    const records = [
      a(GOOD),
      record(TYPE.CNAME, 5, wireName("c.example")),
      record(TYPE.MX, 5, Buffer.concat([u16(1), pointing(12)])),
    ];
    await server.agent.serve(UPSTREAM, (asked, stream) => {
      const truncated = !stream && roll(4) === 0;
      return [
        damaged(answerTo(asked, { answers: records, truncated }), roll),
        answerTo(asked, { rcode: RCODE.noName }),
      ];
    });
    for (let at = 0; at < 1000; at++) {
      server.agent.say(damaged(question(fresh(), TYPE.A, { edns: roll(2) * 4096 }), roll));
      if (at % 50 === 49) await server.agent.ask(question(fresh(), TYPE.A));
    }
    await isAlive();
  });

  test("thousands of questions that nobody answers take turns, and known names go on", async () => {
    await using server = await start(); // it is not fit for others for a while
    await server.agent.serve(UPSTREAM, () => []);
    for (let at = 0; at < 2000; at++) {
      server.agent.say(question(fresh(), TYPE.A, { id: at }));
      if (at % 50 === 49) await isAlive(server); // what does not fit into a socket's buffer is lost, and says nothing
    }
    expect(parse(await server.agent.ask(question(fresh(), TYPE.A))).rcode).toBe(RCODE.failure); // too much is being asked
    const status = await Bun.file(`/proc/${server.program.pid}/status`).text();
    expect(Number(/VmRSS:\s+(\d+)/.exec(status)?.[1])).toBeLessThan(8192);
  });

  test("connections that say nothing, too much, or nonsense keep nobody out", async () => {
    const over = (bytes: Buffer) => server.agent.ask(bytes, "stream");
    expect((await over(u16(0xffff))).length).toBe(0); // closed
    expect((await over(Buffer.concat([u16(3), Buffer.of(1, 2, 3)]))).length).toBe(0);
    expect((await over(u16(0))).length).toBe(0);
    const bytes = question("db", TYPE.A);
    expect(addressesIn(await over(Buffer.concat([u16(bytes.length), bytes])))).toEqual(["10.9.0.2"]);
  });
});
