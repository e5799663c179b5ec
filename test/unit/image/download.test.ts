import { expect, test } from "bun:test";
import { openUrl } from "../../../src/image/download.ts";
import { Proxies } from "../../../src/registry/proxies.ts";
import { failureOf } from "../../support/errors.ts";

const none = { http: "", https: "", no: "" };

/** Answers as any host: what reaches it has asked for a whole URL, as one asks a proxy. */
function serve() {
  const asked: string[] = [];
  const server = Bun.serve({
    port: 0,
    fetch({ url }) {
      asked.push(url);
      if (url.endsWith("/moved")) return Response.redirect("http://other.example/tar");
      if (url.endsWith("/around")) return Response.redirect("/around");
      if (url.endsWith("/away")) return Response.redirect("file:///etc/passwd");
      return url.endsWith("/tar") ? new Response("a tar") : new Response("", { status: 404 });
    },
  });
  return { asked, host: `127.0.0.1:${server.port}`, [Symbol.asyncDispose]: () => server.stop(true) };
}

test("openUrl() goes through the proxy, on every hop", async () => {
  await using proxy = serve();
  const proxies = new Proxies({ ...none, http: `http://${proxy.host}` });
  const lines: string[] = [];
  const body = await openUrl("some.example/moved", proxies, ({ status }) => lines.push(status), undefined);
  expect(await new Response(body).text()).toBe("a tar");
  expect(proxy.asked).toEqual(["http://some.example/moved", "http://other.example/tar"]);
  expect(lines[0]).toBe("Downloading from http://other.example/tar");
});

test("openUrl() reaches a host directly that is an exception", async () => {
  await using server = serve();
  const proxies = new Proxies({ http: "http://127.0.0.1:1", https: "", no: "127.0.0.1" });
  const body = await openUrl(`${server.host}/tar`, proxies, () => {}, undefined);
  expect(await new Response(body).text()).toBe("a tar");
});

test.each<[path: string, message: string]>([
  ["none", "status 404"],
  ["around", "more than 10 redirects"],
  ["away", "want - or an http(s) URL"],
])("openUrl() refuses /%s: %s", async (path, message) => {
  await using server = serve();
  expect(await failureOf(() => openUrl(`${server.host}/${path}`, new Proxies(none), () => {}, undefined))).toContain(
    message,
  );
});
