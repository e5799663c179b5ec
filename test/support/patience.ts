/** Waiting for what comes for sure, but tells nobody when: it is looked again and again. */

/** Enough for a machine that others keep busy, and less than a test may take: who waits in vain says for what. ms */
export const PATIENCE_MS = 30_000;
const LOOK_AGAIN_MS = 5;

/** What a test may take that waits for several things, each with that patience; a twentieth of it is usual. */
export const TEST_MS = 180_000;

/** Returns as soon as it is so. @param what  for the message. @throws Error when it is not so in time */
export async function until(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  while (!(await isSo())) {
    if (Date.now() > deadline) throw new Error(`not so within ${PATIENCE_MS / 1000} seconds: ${what}`);
    await Bun.sleep(LOOK_AGAIN_MS);
  }
}
