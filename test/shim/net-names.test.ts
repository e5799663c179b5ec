/** bosun-net names: what it knows, what it asks elsewhere, and how long it remembers. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { a, addressesIn, answerTo, parse, question, RCODE, soa, TYPE, u16 } from "../support/dns.ts";
import { NameServer } from "../support/name-server.ts";
import { NetNamespace } from "../support/netns.ts";

const UPSTREAM = "127.0.0.53"; // of the container's namespace
const SECOND = "127.0.0.54";
const OF_HOST = "127.53.0.53";
const NETWORK = `network mine
host 10.9.0.2 fd09::2 db shared 0123456789ab
host 10.9.0.3 - web shared
host - fd09::4 six
`;
const OTHER = "network other\nhost 10.8.0.9 - db far\n";
const CONTAINER = `network n1\nnetwork n2\nlink n1 mate db\nserver own ${UPSTREAM}\nserver own ${SECOND}\n`;

describe.skipIf(process.getuid?.() !== 0)("bosun-net names", () => {
  let server: NameServer;
  let questions: string[] = [];
  const known = async (name: string) => addressesIn(await server.agent.ask(question(name, TYPE.A)));

  beforeAll(async () => {
    server = await NameServer.start({ "networks/n1": NETWORK, "networks/n2": OTHER, "containers/c1": CONTAINER });
    await server.agent.serve(SECOND, () => []);
  });
  afterAll(() => server[Symbol.asyncDispose]());

  /** What the server elsewhere answers from now on. */
  const upstream = (answer: (asked: Buffer, stream: boolean) => readonly Buffer[]) => {
    questions = [];
    return server.agent.serve(UPSTREAM, (asked, stream) => {
      questions.push(`${stream ? "tcp" : "udp"} ${parse(asked).question}`);
      return answer(asked, stream);
    });
  };

  test.each([
    ["db", "A", ["10.9.0.2"]],
    ["db", "AAAA", ["fd09::2"]],
    ["DB.Mine", "A", ["10.9.0.2"]],
    ["db.other", "A", ["10.8.0.9"]],
    ["far", "A", ["10.8.0.9"]],
    ["mate", "A", ["10.9.0.2"]],
    ["mate.mine", "A", ["10.9.0.2"]],
    ["0123456789ab", "A", ["10.9.0.2"]],
    ["six", "AAAA", ["fd09::4"]],
    ["2.0.9.10.in-addr.arpa", "PTR", ["db.mine"]],
    [`4.${"0.".repeat(27)}9.0.d.f.ip6.arpa`, "PTR", ["six.mine"]],
  ])("c-ares finds %p, %s", async (name, type, records) => {
    expect(await server.agent.resolve(name, type)).toEqual(records);
  });

  test.each([
    ["web", TYPE.AAAA],
    ["six", TYPE.A],
    ["db", TYPE.HTTPS],
    ["db", TYPE.MX],
  ])("a known name has nothing else: %p, type %d", async (name, type) => {
    const { rcode, answers, question: asked } = parse(await server.agent.ask(question(name, type)));
    expect({ rcode, answers, asked }).toEqual({ rcode: RCODE.ok, answers: [], asked: name });
  });

  test("answers live ten minutes, in the letters of the question, with the client's id", async () => {
    const parsed = parse(await server.agent.ask(question("Db", TYPE.A, { id: 77, edns: 1232 })));
    expect(parsed).toMatchObject({ id: 77, question: "Db", edns: true, rcode: RCODE.ok });
    expect(parsed.answers.map(({ ttl }) => ttl)).toEqual([600]);
  });

  test("containers of one name take turns", async () => {
    const [one, two] = [await known("shared"), await known("shared")];
    expect(one.toSorted()).toEqual(["10.9.0.2", "10.9.0.3"]);
    expect(two).toEqual(one.toReversed());
  });

  test("what does not fit into a datagram is told over TCP", async () => {
    const many = Array.from({ length: 100 }, (_, at) => `host 10.7.0.${at} - crowd\n`);
    server.write("networks/n2", `network other\n${many.join("")}`);
    const cut = await server.agent.ask(question("crowd", TYPE.A));
    expect(cut.length).toBeLessThanOrEqual(512);
    expect(parse(cut).truncated).toBe(true);
    const bytes = question("crowd", TYPE.A);
    const all = await server.agent.ask(Buffer.concat([u16(bytes.length), bytes]), "stream");
    expect(new Set(addressesIn(all)).size).toBe(100);
    server.write("networks/n2", OTHER);
  });

  test("a file that is replaced counts at once", async () => {
    server.write("networks/n1", NETWORK.replace("10.9.0.2", "10.9.0.222"));
    expect(await known("db")).toEqual(["10.9.0.222"]);
    server.write("networks/n1", NETWORK);
    expect(await known("db")).toEqual(["10.9.0.2"]);
    server.write("containers/c1", CONTAINER.replace("network n1\n", ""));
    expect(await known("db")).toEqual(["10.8.0.9"]);
    server.write("containers/c1", CONTAINER);
    expect(await known("db")).toEqual(["10.9.0.2"]);
  });

  test("unknown names are asked elsewhere once, and remembered as long as they are good", async () => {
    await upstream((asked) => [answerTo(asked, { answers: [a("192.0.2.7", 50)] })]);
    expect(await known("host.example")).toEqual(["192.0.2.7"]);
    const again = parse(await server.agent.ask(question("HOST.example", TYPE.A, { id: 9 })));
    expect(again).toMatchObject({ id: 9, question: "HOST.example" });
    expect(again.answers[0]?.ttl).toBeWithin(20, 51); // less by the seconds that have passed
    expect(questions).toEqual(["udp host.example"]);
  });

  test("denials are remembered as their SOA says, and not without one", async () => {
    await upstream((asked) => {
      const authority = parse(asked).question === "no.example" ? [soa(60)] : [];
      return [answerTo(asked, { rcode: RCODE.noName, authority })];
    });
    for (const name of ["no.example", "no.example", "never.example", "never.example"])
      expect(parse(await server.agent.ask(question(name, TYPE.A))).rcode).toBe(RCODE.noName);
    expect(questions).toEqual(["udp no.example", "udp never.example", "udp never.example"]);
  });

  test("what is truncated is asked again over TCP, and given whole to who takes it", async () => {
    const big = Array.from({ length: 60 }, (_, at) => a(`192.0.2.${at}`));
    await upstream((asked, stream) => [answerTo(asked, stream ? { answers: big } : { truncated: true })]);
    expect(parse(await server.agent.ask(question("big.example", TYPE.A))).truncated).toBe(true);
    expect(questions).toEqual(["udp big.example", "tcp big.example"]);
    expect(addressesIn(await server.agent.ask(question("big.example", TYPE.A, { edns: 4096 })))).toHaveLength(60);
  });

  test("the next server is asked when the first refuses, or says nothing", async () => {
    await server.agent.serve(SECOND, (asked) => [answerTo(asked, { answers: [a("192.0.2.99")] })]);
    await upstream((asked) => [answerTo(asked, { rcode: RCODE.refused })]);
    expect(await known("refused.example")).toEqual(["192.0.2.99"]);
    await upstream(() => []);
    expect(await known("silent.example")).toEqual(["192.0.2.99"]);
    await server.agent.serve(SECOND, (asked) => [answerTo(asked, { rcode: RCODE.failure })]);
    await upstream((asked) => [answerTo(asked, { rcode: RCODE.failure })]);
    expect(parse(await server.agent.ask(question("broken.example", TYPE.A))).rcode).toBe(RCODE.failure);
  });

  test("however many servers there are, each has its turn", async () => {
    const many = Array.from({ length: 12 }, (_, at) => `127.0.0.${60 + at}`);
    await server.agent.serve("127.0.0.65", () => []); // the others before the last listen to nobody
    await server.agent.serve(many.at(-1) ?? "", (asked) => [answerTo(asked, { answers: [a("192.0.2.71")] })]);
    server.write("containers/c1", ["network n1", ...many.map((address) => `server own ${address}`), ""].join("\n"));
    expect(await known("many.example")).toEqual(["192.0.2.71"]);
    server.write("containers/c1", CONTAINER);
  });

  test("a server of the host is asked from the host's namespace, over TCP, too", async () => {
    await using host = await NetNamespace.host();
    const big = Array.from({ length: 60 }, (_, at) => a(`192.0.2.${at}`));
    await host.serve(OF_HOST, (asked, stream) => [answerTo(asked, stream ? { answers: big } : { truncated: true })]);
    server.write("containers/c1", `network n1\nserver host ${OF_HOST}\n`);
    for (const name of ["one.example", "two.example", "three.example"])
      expect(addressesIn(await server.agent.ask(question(name, TYPE.A, { edns: 4096 })))).toHaveLength(60);
    server.write("containers/c1", CONTAINER);
  });

  test("without servers, what is not known fails at once", async () => {
    server.write("containers/c1", "network n1\n");
    expect(parse(await server.agent.ask(question("host.example", TYPE.A))).rcode).toBe(RCODE.failure);
    expect(await known("db")).toEqual(["10.9.0.2"]);
    server.write("containers/c1", CONTAINER);
  });

  test("it has no privileges, and ends with the process that it serves", async () => {
    await using other = await NameServer.start({ "containers/c1": "" });
    const { pid, exited } = other.program;
    await other.agent.ask(question("x.example", TYPE.A)); // it has got that far
    const status = await Bun.file(`/proc/${pid}/status`).text();
    expect(status).toMatch(/^Uid:\s+65534\s+65534\s+65534/m);
    expect(status).toMatch(/^CapEff:\s+0+$/m);
    other.netns.process.kill("SIGKILL");
    expect(await exited).toBe(0);
  });

  test("packets that are tracked, and stateful rules, are no hindrance, and no question stays in the table", async () => {
    await using other = await NameServer.start({ "networks/n1": NETWORK, "containers/c1": "network n1\n" });
    const enter = ["nsenter", `--net=/proc/${other.netns.pid}/ns/net`];
    const rules = `table ip t {
      chain in { type filter hook input priority 0; ct state invalid drop; }
      chain nat { type nat hook output priority -100; ip daddr 192.0.2.1 dnat to 127.0.0.1; }
    }`;
    await Bun.$`${enter} nft -f - < ${Buffer.from(rules)}`;
    const bytes = question("db", TYPE.A);
    expect(addressesIn(await other.agent.ask(bytes))).toEqual(["10.9.0.2"]);
    const answer = await other.agent.ask(Buffer.concat([u16(bytes.length), bytes]), "stream");
    expect(addressesIn(answer)).toEqual(["10.9.0.2"]);
    expect(await Bun.$`${enter} cat /proc/sys/net/netfilter/nf_conntrack_count`.text()).toBe("0\n");
  });

  test("port 53 stays free, on every address", async () => {
    await using other = await NameServer.start({ "networks/n1": NETWORK, "containers/c1": "network n1\n" });
    await other.agent.serve("0.0.0.0", () => []);
    expect(addressesIn(await other.agent.ask(question("db", TYPE.A)))).toEqual(["10.9.0.2"]);
  });
});
