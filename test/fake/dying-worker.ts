/** A Worker that dies of its job: by an exception when its name says so, else by leaving. */

declare const self: Worker;

self.onmessage = ({ data }: MessageEvent<{ job: { blob: string } }>) => {
  if (data.job.blob === "throw") throw new Error("out of luck");
  if (data.job.blob === "exit") process.exit(3);
  self.postMessage({ type: "done", result: { format: "erofs", tarBytes: 0, entries: 0 } });
  if (data.job.blob === "exit later") process.exit(0);
};
