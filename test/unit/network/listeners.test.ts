/** The kernel's tables of sockets and routes, as it writes them. */

import { expect, test } from "bun:test";
import { formatAddress } from "../../../src/network/addresses.ts";
import { hasDefaultRoute, isOpen, parseListeners } from "../../../src/network/listeners.ts";

const HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
const line = (local: string, state: string) =>
  `   0: ${local} 00000000:0000 ${state} 00000000:00000000 00:00000000 00000000     0\n`;

test.each([
  ["00000000:0050", "0A", "tcp", "0.0.0.0", 80, true],
  ["0100007F:1F90", "0A", "tcp", "127.0.0.1", 8080, false],
  ["00000000000000000000000001000000:0050", "0A", "tcp", "::1", 80, false],
  ["000080FE000000000242ACFFFE110002:0050", "0A", "tcp", "fe80::ffac:4202:200:11fe", 80, true],
  ["00000000:0035", "07", "udp", "0.0.0.0", 53, true],
] as const)("parseListeners() of %p", (local, state, protocol, address, port, open) => {
  const [found] = parseListeners(HEAD + line(local, state), protocol);
  expect(found && { ...found, address: formatAddress(found.address) }).toEqual({ protocol, address, port });
  expect(found && isOpen(found)).toBe(open);
});

test("parseListeners() leaves connections out", () => {
  expect(parseListeners(HEAD + line("0100007F:1F90", "01"), "tcp")).toEqual([]);
});

test("hasDefaultRoute()", () => {
  const head = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n";
  const own = "eth0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n";
  const out = "eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\t0\t0\t0\n";
  expect([head + own, head + own + out].map(hasDefaultRoute)).toEqual([false, true]);
});
