import { expect, test } from "bun:test";
import { Semaphore } from "../../../src/base/semaphore.ts";

test("acquire() lets so many in, and the others in their order", async () => {
  const semaphore = new Semaphore(2);
  const order: string[] = [];
  const enter = async (name: string) => {
    const place = await semaphore.acquire();
    order.push(name);
    return place;
  };
  const [a, b] = [await enter("a"), await enter("b")];
  expect(semaphore.isFull).toBeTrue();
  const [c, d] = [enter("c"), enter("d")];
  a[Symbol.dispose]();
  a[Symbol.dispose]();
  (await c)[Symbol.dispose]();
  (await d)[Symbol.dispose]();
  b[Symbol.dispose]();
  expect(order).toEqual(["a", "b", "c", "d"]);
  expect(semaphore.isFull).toBeFalse();
});

test("acquire() leaves the queue when its signal aborts", async () => {
  const semaphore = new Semaphore(1);
  const first = await semaphore.acquire();
  const stop = new AbortController();
  const left = semaphore.acquire(stop.signal);
  const next = semaphore.acquire();
  stop.abort(new Error("left"));
  await expect(left).rejects.toThrow("left");
  first[Symbol.dispose]();
  (await next)[Symbol.dispose]();
  expect(semaphore.isFull).toBeFalse();
});
