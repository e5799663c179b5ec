/** Ports that a test gives away before anybody listens there. */

/** Below those that the kernel gives to whoever asks for any: nobody gets one by accident between its choice and its use. Source: ip(7), ip_local_port_range. */
const [LOWEST, HIGHEST] = [20_000, 30_000];

let next = LOWEST + Math.floor(Math.random() * (HIGHEST - LOWEST));

/** @returns a port of the loopback that nobody has, another one each time */
export function freePort(): number {
  for (let tries = LOWEST; tries < HIGHEST; tries++) {
    next = next + 1 < HIGHEST ? next + 1 : LOWEST;
    try {
      const probe = Bun.listen({ hostname: "127.0.0.1", port: next, socket: { data() {} } });
      probe.stop(true);
      return next;
    } catch {
      // Somebody has it.
    }
  }
  throw new Error(`all ports from ${LOWEST} to ${HIGHEST} are taken`);
}
