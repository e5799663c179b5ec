/** No log: output goes to those who are attached, and nowhere else. */

import { notImplemented } from "../base/errors.ts";
import type { LogDriver } from "./driver.ts";

export const noReading = (): never => {
  throw notImplemented("configured logging driver does not support reading");
};

export const noLog: LogDriver = {
  name: "none",
  file: undefined,
  isPublic: false,
  target: () => undefined,
  read: noReading,
};
