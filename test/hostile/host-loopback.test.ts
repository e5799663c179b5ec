/** A container that may change its own network asks for the host's 127.0.0.1 through its gateway. Source: CVE-2020-8558. */

import { expect, test } from "bun:test";
import { e2e } from "../support/e2e.ts";

e2e("the host's loopback", (engine) => {
  test.each([[[]], [["--internal"]]])("is out of reach from a network made with %p", async (flags) => {
    let reached = 0;
    using server = Bun.listen({
      hostname: "127.0.0.1",
      port: 0,
      socket: {
        open: (socket) => {
          reached += 1;
          socket.end("of the host\n");
        },
        data() {},
      },
    });
    await engine.ok("network", "create", "--subnet", "10.238.0.0/24", ...flags, "attack");
    const script = `
      echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet
      ip addr del 127.0.0.1/8 dev lo
      ip route flush table local 127.0.0.0/8
      ip route add 127.0.0.0/8 via 10.238.0.1 dev eth0
      ip route get 127.0.0.1
      timeout 2 nc 127.0.0.1 ${server.port} < /dev/null
      echo asked`;
    const run = ["run", "--rm", "--privileged", "--network", "attack", "--ip", "10.238.0.9"];
    const output = await engine.ok(...run, "busybox", "sh", "-c", script);
    expect(output).toContain("127.0.0.1 via 10.238.0.1"); // else nothing was tried
    expect(output).toEndWith("asked");
    expect(output).not.toContain("of the host");
    expect(reached).toBe(0);
    await engine.ok("network", "rm", "attack");
  });
});
