import { expect, test } from "bun:test";
import { parseCpuTime, parseInterfaces } from "../../../src/container/stats.ts";

test("parseCpuTime() sums what the processors have spent, guests only once", () => {
  const text = "cpu  1 2 3 4 5 6 7 8 900 1000\ncpu0 1 1 1 1 1 1 1 1 0 0\ncpu1 1 1 1 1 1 1 1 1 0 0\nintr 5\n";
  expect(parseCpuTime(text)).toEqual({ systemCpuNs: 36e7, onlineCpus: 2 });
});

test("parseInterfaces() reads both directions, and leaves the loopback out", () => {
  const text = [
    "Inter-|   Receive                                                |  Transmit",
    " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed",
    "    lo:     100       1    0    0    0     0          0         0      100       1    0    0    0     0       0          0",
    "  eth0:1286     17    3    4    0     0          0         0      656       9    1    2    0     0       0          0",
    "",
  ].join("\n");
  expect(parseInterfaces(text)).toEqual([
    {
      name: "eth0",
      received: { bytes: 1286, packets: 17, errors: 3, dropped: 4 },
      sent: { bytes: 656, packets: 9, errors: 1, dropped: 2 },
    },
  ]);
});
