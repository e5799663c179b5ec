/** The daemon's configuration: dockerd's flags and daemon.json's keys in, one value out; conflicts and nonsense refused by name. */

import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseBytes } from "../../src/base/units.ts";
import { type Config, parseConfig } from "../../src/config.ts";
import { DEFAULT_POOLS } from "../../src/network/pools.ts";
import { OPTION_NAMES } from "../../src/options.ts";

const folder = mkdtempSync(join(tmpdir(), "bosun-config-"));
const path = join(folder, "daemon.json");
afterAll(() => rmSync(folder, { recursive: true }));

/** @param file  content of daemon.json; nobody's own is read */
function parse(flags: readonly string[], file: unknown = {}): Config {
  writeFileSync(path, typeof file === "string" ? file : JSON.stringify(file));
  return parseConfig([...flags, "--config-file", path]).config;
}

describe("parseConfig() without anything", () => {
  test("parseConfig() has every default", () => {
    expect(parse([])).toEqual({
      hosts: ["unix:///run/bosun.sock"],
      logLevel: "info",
      logFormat: "text",
      dataRoot: "/var/lib/bosun",
      execRoot: "/run/bosun",
      pidfile: "/run/bosun.pid",
      group: "docker",
      groupGiven: false,
      storageDriver: "auto",
      insecureRegistries: [],
      registryMirrors: [],
      mirrors: {},
      runtimes: {},
      defaultRuntime: "bosun",
      proxies: {},
      maxConcurrentDownloads: 3,
      maxConcurrentUploads: 5,
      maxDownloadAttempts: 5,
      pushCompression: "gzip",
      bridge: {
        name: "docker0",
        ipv4: { address: undefined, fixedCidr: undefined, gateway: undefined },
        ipv6: { address: undefined, fixedCidr: undefined, gateway: undefined },
        enableIPv6: false,
        mtu: 1500,
        masquerade: true,
        icc: true,
        hostBinding: "0.0.0.0",
      },
      addressPools: DEFAULT_POOLS,
      firewall: true,
      firewallOnly4: false,
      userlandProxy: true,
      directRouting: false,
      hasDefaultBridge: true,
      defaultNetworkOptions: {},
      respectHostFirewall: false,
      forward: true,
      keepsForwardingOpen: false,
      hostGateways: [],
      dns: [],
      dnsOptions: [],
      dnsSearch: [],
      labels: [],
      defaultUlimits: [],
      logDriver: "json-file",
      logOptions: {},
      init: false,
      noNewPrivileges: false,
      seccompProfile: "builtin",
      defaultShmSize: 64 << 20,
      cgroupParent: "/bosun",
      cdiSpecDirs: ["/etc/cdi", "/var/run/cdi"],
      realtime: {},
      defaultIpcMode: "private",
      defaultCgroupnsMode: undefined,
      shutdownTimeoutS: 15,
      metricsAddress: undefined,
      traceStart: false,
      layerLingerS: 30,
      tls: undefined,
    });
  });

  test("parseConfig() gives a value that nobody changes", () => {
    expect(Object.isFrozen(parse([]))).toBe(true);
  });
});

describe("registries in daemon.json and flags", () => {
  test("runtimes, from both, and the default one", () => {
    const file = { runtimes: { one: { path: "/one", runtimeArgs: ["--debug"] } }, "default-runtime": "one" };
    const { runtimes, defaultRuntime } = parse(["--add-runtime", "two=/two"], file);
    expect(runtimes).toEqual({ one: { path: "/one", args: ["--debug"] }, two: { path: "/two", args: [] } });
    expect(defaultRuntime).toBe("one");
    expect(parse(["--default-runtime", "runc"]).defaultRuntime).toBe("bosun");
    expect(() => parse(["--default-runtime", "no"])).toThrow("specified default runtime 'no' does not exist");
    expect(() => parse(["--add-runtime", "runc=/x"])).toThrow("runtime name 'runc' is reserved");
    expect(() => parse(["--add-runtime", "x"])).toThrow("want name=path");
    expect(() => parse([], { runtimes: { x: { runtimeType: "io.containerd.kata.v2" } } })).toThrow(
      "runtimeType is not supported",
    );
    expect(() => parse([], { runtimes: { x: {} } })).toThrow("invalid runtime x: it has no path");
  });

  test("what host-gateway means: one address of each family, by either of the file's keys", () => {
    expect(parse(["--host-gateway-ip", "192.0.2.1"], { "host-gateway-ips": ["2001:db8::1"] }).hostGateways).toEqual([
      "2001:db8::1",
      "192.0.2.1",
    ]);
    expect(parse([], { "host-gateway-ip": "192.0.2.1" }).hostGateways).toEqual(["192.0.2.1"]);
    expect(() => parse(["--host-gateway-ip", "x"])).toThrow("want an IP address");
    expect(() => parse(["--host-gateway-ip", "192.0.2.1", "--host-gateway-ip", "192.0.2.2"])).toThrow(
      "want one of each family",
    );
  });

  test("mirrors of any registry, in order, from both", () => {
    const file = { mirrors: { "ghcr.io": ["https://one", "https://two"], "*": ["https://all"] } };
    expect(parse(["--mirror", "quay.io=https://q"], file).mirrors).toEqual({
      "ghcr.io": ["https://one", "https://two"],
      "*": ["https://all"],
      "quay.io": ["https://q"],
    });
    expect(() => parse(["--mirror", "https://q"])).toThrow("want registry=URL, or *=URL");
  });

  test("proxies are grouped in the file, as dockerd has them, and flags outside of it", () => {
    const proxies = { "http-proxy": "http://p:1", "https-proxy": "http://p:2", "no-proxy": "a,b" };
    const expected = { http: "http://p:1", https: "http://p:2", no: "a,b" };
    expect(parse([], { proxies }).proxies).toEqual(expected);
    expect(parse(["--http-proxy=http://p:1", "--https-proxy=http://p:2", "--no-proxy=a,b"]).proxies).toEqual(expected);
    expect(() => parse([], { proxies: { ftp: "x" } })).toThrow("don't match any configuration option: proxies.ftp");
    expect(() => parse([], { "http-proxy": "x" })).toThrow("don't match any configuration option: http-proxy");
  });
});

describe("parseConfig() of flags", () => {
  test.each<[flags: string[], result: object]>([
    [["-D"], { logLevel: "debug" }],
    [["--debug"], { logLevel: "debug" }],
    [["-debug"], { logLevel: "debug" }],
    [["--debug=false"], { logLevel: "info" }],
    [["--debug=1"], { logLevel: "debug" }],
    [["-l", "warn"], { logLevel: "warn" }],
    [["-lwarn"], { logLevel: "warn" }],
    [["-l=warn"], { logLevel: "warn" }],
    [["--log-level=error", "--log-format", "json"], { logLevel: "error", logFormat: "json" }],
    [["-H", "unix:///a", "--host=tcp://1.2.3.4:5", "-Hfd://"], { hosts: ["unix:///a", "tcp://1.2.3.4:5", "fd://"] }],
    [["-g", "/d"], { dataRoot: "/d" }],
    [["--graph", "/d"], { dataRoot: "/d" }],
    [["--data-root", "/d", "--exec-root", "/e", "-p", "/p"], { dataRoot: "/d", execRoot: "/e", pidfile: "/p" }],
    [["-G", "42"], { group: "42", groupGiven: true }],
    [["-s", "overlay"], { storageDriver: "overlay" }],
    [
      ["--insecure-registry", "a:1", "--insecure-registry", "10.0.0.0/8"],
      { insecureRegistries: ["a:1", "10.0.0.0/8"] },
    ],
    [["--registry-mirror", "https://m"], { registryMirrors: ["https://m"] }],
    [
      ["--dns", "1.1.1.1", "--dns-opt", "ndots:1", "--dns-search", "x"],
      { dns: ["1.1.1.1"], dnsOptions: ["ndots:1"], dnsSearch: ["x"] },
    ],
    [["--log-opt", "max-size=1m", "--log-opt", "max-file=3"], { logOptions: { "max-size": "1m", "max-file": "3" } }],
    [["--default-ulimit", "nofile=1:2"], { defaultUlimits: [{ name: "nofile", soft: 1, hard: 2 }] }],
    [["--default-shm-size", "1g"], { defaultShmSize: 2 ** 30 }],
    [["--init", "--no-new-privileges", "--live-restore"], { init: true, noNewPrivileges: true }],
    [
      ["--metrics-addr", "127.0.0.1:9323", "--trace-start"],
      { metricsAddress: "tcp://127.0.0.1:9323", traceStart: true },
    ],
    [["--max-concurrent-downloads", "7", "--shutdown-timeout=0"], { maxConcurrentDownloads: 7, shutdownTimeoutS: 0 }],
    [["--data-root", "/a", "--data-root", "/b"], { dataRoot: "/b" }],
    [["--label", "a=b", "--label", "c=d"], { labels: ["a=b", "c=d"] }],
  ])("parseConfig(%p)", (flags, result) => {
    expect(parse(flags)).toMatchObject(result);
  });

  test("parseConfig() sets up the bridge as told", () => {
    const flags = [
      "--bip",
      "10.0.0.1/24",
      "--fixed-cidr",
      "10.0.0.0/25",
      "--mtu",
      "1400",
      "--ip-masq=false",
      "--iptables=false",
      "--ip-forward=false",
      "--ip-forward-no-drop",
      "--ip6tables=false",
      "--userland-proxy=false",
      "--allow-direct-routing",
      "--default-network-opt=bridge=com.docker.network.driver.mtu=1234",
    ];
    expect(parse(flags)).toMatchObject({
      bridge: {
        name: "docker0",
        ipv4: { address: "10.0.0.1/24", fixedCidr: "10.0.0.0/25" },
        mtu: 1400,
        masquerade: false,
      },
      ...{
        firewall: false,
        forward: false,
        keepsForwardingOpen: true,
        firewallOnly4: true,
        userlandProxy: false,
        directRouting: true,
      },
      defaultNetworkOptions: { bridge: { "com.docker.network.driver.mtu": "1234" } },
    });
    expect(parse(["-b", "none"]).hasDefaultBridge).toBe(false);
    expect(parse(["-b", "br7"]).bridge.name).toBe("br7");
  });

  test("parseConfig() looks for certificates where docker's tools put them", () => {
    const { tls } = parse(["--tlsverify", "--tlscert", "/c"]);
    expect(tls).toMatchObject({ verify: true, certificate: "/c" });
    expect(tls?.ca).toEndWith("/ca.pem");
    expect(tls?.key).toEndWith("/key.pem");
    expect(parse(["--tls"]).tls).toMatchObject({ verify: false, ca: undefined });
  });

  test("parseConfig() tells what else is wanted instead of a daemon", () => {
    writeFileSync(path, "{}");
    expect(parseConfig(["--config-file", path, "--validate"]).only).toBe("validate");
    expect(parseConfig(["--config-file", path, "-v"]).only).toBe("version");
    expect(parseConfig(["--config-file", path]).only).toBeUndefined();
  });

  test.each<[flags: string[], words: string]>([
    [["--colour"], "unknown or not yet supported flag: --colour"],
    [["--toString"], "--toString"],
    [["-x"], "unknown shorthand flag: -x"],
    [["-colour"], "unknown"],
    [["word"], "unexpected argument: word"],
    [["-"], "unexpected argument: -"],
    [["--mtu"], "flag needs an argument: --mtu"],
    [["--mtu", "x"], "invalid value for --mtu: x"],
    [["--mtu", "10"], "invalid value for --mtu: 10 (want at least 68)"],
    [["--max-concurrent-downloads", "0"], "want at least 1"],
    [["--shutdown-timeout", "1.5"], "invalid value for --shutdown-timeout: 1.5"],
    [["--debug=maybe"], 'invalid boolean value "maybe" for --debug'],
    [["-l", "loud"], "invalid value for --log-level: loud (want debug, info"],
    [["-s", "zfs"], "invalid value for --storage-driver: zfs"],
    [["--log-opt", "max-size"], "want key=value"],
    [["--default-ulimit", "files=1"], "invalid ulimit type: files"],
    [["--default-shm-size", "much"], "invalid size: 'much'"],
    [["-b", "br0", "--bip", "10.0.0.1/24"], "mutually exclusive"],
    [["--default-network-opt", "bridge=x"], "invalid value for --default-network-opt"],
    [["-b", "much-too-long-for-one"], "invalid value for --bridge"],
    [["-b", "a/b"], "invalid value for --bridge"],
  ])("parseConfig(%p) throws", (flags, words) => {
    // the file is named first, so that a flag without its value is the last word
    writeFileSync(path, "{}");
    expect(() => parseConfig(["--config-file", path, ...flags])).toThrow(words);
  });
});

describe("parseConfig() of daemon.json", () => {
  test("parseConfig() reads every kind of value", () => {
    const file = {
      debug: true,
      hosts: ["unix:///a"],
      "data-root": "/d",
      "insecure-registries": ["a:1"],
      "max-concurrent-downloads": 9,
      "log-opts": { "max-size": "1m", "max-file": 2 },
      "default-ulimits": { nofile: { Name: "nofile", Soft: 10, Hard: 20 }, nproc: { Soft: 5 } },
      labels: ["a=b"],
      "default-shm-size": "1m",
    };
    expect(parse([], file)).toMatchObject({
      logLevel: "debug",
      hosts: ["unix:///a"],
      dataRoot: "/d",
      insecureRegistries: ["a:1"],
      maxConcurrentDownloads: 9,
      logOptions: { "max-size": "1m", "max-file": "2" },
      defaultUlimits: [
        { name: "nofile", soft: 10, hard: 20 },
        { name: "nproc", soft: 5, hard: 5 },
      ],
      labels: ["a=b"],
      defaultShmSize: 1 << 20,
    });
    expect(parse([], { graph: "/old" }).dataRoot).toBe("/old");
  });

  test("parseConfig() adds lists of both, and takes other values from either", () => {
    expect(parse(["--label", "c=d"], { labels: ["a=b"], "data-root": "/d" })).toMatchObject({
      labels: ["a=b", "c=d"],
      dataRoot: "/d",
    });
  });

  test.each<[flags: string[], file: unknown, words: string]>([
    [
      ["-D"],
      { debug: true },
      "specified both as a flag and in the configuration file: debug: (from flag: true, from file: true)",
    ],
    [["-H", "unix:///a"], { hosts: ["unix:///b"] }, "host: (from flag: unix:///a, from file: unix:///b)"],
    [["-g", "/a"], { graph: "/b" }, "specified both"],
    [[], { colour: "red", taste: 1 }, "the following directives don't match any configuration option: colour, taste"],
    [[], { host: ["unix:///a"] }, "host"], // the key is `hosts`
    [[], { debug: { a: 1 } }, "daemon.json: debug: unexpected"],
    [[], { hosts: "unix:///a" }, "daemon.json: hosts: unexpected"],
    [[], { labels: [{}] }, "daemon.json: labels: unexpected"],
    [[], { "log-opts": ["a"] }, "daemon.json: log-opts: unexpected"],
    [[], { mtu: "x" }, "invalid value for --mtu: x"],
    [[], { validate: true }, "validate belongs on the command line"],
    [[], [], "unable to configure the daemon with file"],
    [[], '{"debug": ', "unable to configure the daemon with file"],
    [[], "null", "unable to configure the daemon with file"],
  ])("parseConfig(%p) with %p throws", (flags, file, words) => {
    expect(() => parse(flags, file)).toThrow(words);
  });

  test("parseConfig() throws when a file that is named is missing", () => {
    expect(() => parseConfig(["--config-file", join(folder, "missing.json")])).toThrow(
      "unable to configure the daemon with file",
    );
  });
});

describe("parseBytes()", () => {
  test.each([
    ["0", 0],
    ["4096", 4096],
    ["64m", 64 << 20],
    ["64M", 64 << 20],
    ["64MB", 64 << 20],
    ["64MiB", 64 << 20],
    ["1.5k", 1536],
    ["1 g", 2 ** 30],
    ["2t", 2 ** 41],
    ["10b", 10],
  ])("parseBytes(%p) is %p", (text, bytes) => {
    expect(parseBytes(text)).toBe(bytes);
  });

  test.each(["", "m", "-1", "1x", "1mm", "0x10", "1e3"])("parseBytes(%p) throws", (text) => {
    expect(() => parseBytes(text)).toThrow("invalid size");
  });
});

test("daemon.json may say that cgroups are made by their files, and nothing else of that", () => {
  expect(parse([], { "exec-opts": ["native.cgroupdriver=cgroupfs"] })).toEqual(parse([]));
  expect(() => parse([], { "exec-opts": ["native.cgroupdriver=systemd"] })).toThrow(
    "invalid value for --exec-opt: native.cgroupdriver=systemd (want native.cgroupdriver=cgroupfs, or nothing)",
  );
});

test("what dockerd has and this engine lacks is told apart from what nobody knows", () => {
  expect(() => parse([], { features: { buildkit: true }, "userns-remap": "x" })).toThrow(
    "this engine does not have these options of dockerd's: features, userns-remap",
  );
});

test("the help lists dockerd's flags with their short names", () => {
  expect(OPTION_NAMES).toContain("-H, --host list");
  expect(OPTION_NAMES).toContain("-D, --debug");
  expect(OPTION_NAMES).toContain("    --mtu int");
});
