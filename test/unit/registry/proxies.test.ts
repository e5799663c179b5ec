import { describe, expect, test } from "bun:test";
import { hidden, Proxies, proxySettings } from "../../../src/registry/proxies.ts";
import { failureOf } from "../../support/errors.ts";

const http = "http://proxy.example:3128/";
const https = "http://secure.example:3128/";

describe("Proxies.of() gives", () => {
  test.each<[no: string, url: string, proxy: string | undefined]>([
    ["", "http://reg.example/", http],
    ["", "https://reg.example/", https],
    ["reg.example", "https://reg.example/", undefined],
    ["reg.example", "https://sub.reg.example/", undefined],
    ["reg.example", "https://otherreg.example/", https],
    [".reg.example", "https://reg.example/", https],
    [".reg.example", "https://sub.reg.example/", undefined],
    ["*.reg.example", "https://sub.reg.example/", undefined],
    ["REG.example", "https://reg.EXAMPLE/", undefined],
    ["reg.example:5000", "https://reg.example:5000/", undefined],
    ["reg.example:5000", "https://reg.example/", https],
    ["reg.example:443", "https://reg.example/", undefined],
    ["10.0.0.0/8", "https://10.1.2.3:5000/", undefined],
    ["10.0.0.0/8", "https://11.1.2.3:5000/", https],
    ["10.1.2.3", "https://10.1.2.3:5000/", undefined],
    ["fd00::/8", "https://[fd00::1]/", undefined],
    ["a, reg.example ,b", "https://reg.example/", undefined],
    ["10.0.0.0/99", "https://10.1.2.3/", https],
    ["*", "https://reg.example/", undefined],
  ])("with NO_PROXY %p, for %s: %p", (no, url, proxy) => {
    expect(new Proxies({ http, https, no }).of(new URL(url))).toBe(proxy);
  });

  test("none when none is set, and takes one without a scheme", () => {
    expect(new Proxies({ http: "", https: "", no: "" }).of(new URL("https://reg.example/"))).toBeUndefined();
    expect(new Proxies({ http: "proxy:80", https: "", no: "" }).of(new URL("http://reg.example/"))).toBe(
      "http://proxy/",
    );
  });
});

test("Proxies refuses what is no proxy, and does not tell its password", async () => {
  const call = () => new Proxies({ http: "socks5://ann:secret@proxy:1", https: "", no: "" });
  expect(await failureOf(call)).toBe(
    'invalid: invalid proxy URL "socks5://xxxxx:xxxxx@proxy:1": want http://host:port',
  );
  expect(hidden("http://ann:secret@proxy:1/")).toBe("http://xxxxx:xxxxx@proxy:1/");
});

test("proxySettings() lets what is given count before the environment", () => {
  expect(proxySettings({ http: "http://a", https: "", no: "x" })).toEqual({ http: "http://a", https: "", no: "x" });
});
