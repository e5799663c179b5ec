/** Accepts connections on a socket that was passed to the process; accept(2) blocks, so it has a thread of its own. */

import { dlopen } from "bun:ffi";

declare const self: Worker;

const FLAGS = 0o2004000; // SOCK_CLOEXEC | SOCK_NONBLOCK, on x86 and arm alike

const { symbols: libc } = dlopen("libc.so.6", {
  accept4: { args: ["i32", "ptr", "ptr", "i32"], returns: "i32" },
  fcntl: { args: ["i32", "i32", "i32"], returns: "i32" },
});

self.onmessage = ({ data: listener }: MessageEvent<number>) => {
  libc.fcntl(listener, 4, 0); // F_SETFL: blocking, whoever made it
  for (;;) {
    const connection = libc.accept4(listener, null, null, FLAGS);
    self.postMessage(connection);
    if (connection < 0) return;
  }
};
