/** Devices that a container is given, as flags: nodes of the host, and what vendors call theirs. */

import { type Flags, type Specs, UsageError } from "./flags.ts";
import { fieldsOf } from "./mount-flag.ts";
import { pairs } from "./pairs.ts";

export const DEVICE_FLAGS: Specs = {
  gpus: { kind: "list", help: "GPU devices to add to the container ('all' to pass all GPUs)" },
  device: { kind: "list", help: "Add a host device to the container" },
};

function device(text: string): object {
  const [host = "", container = host, permissions = "rwm"] = text.split(":");
  const bare = /^[rwm]+$/.test(container) && !container.startsWith("/");
  return {
    PathOnHost: host,
    PathInContainer: bare ? host : container,
    CgroupPermissions: bare ? container : permissions,
  };
}

/** `vendor.com/class=name`. */
const isCdi = (text: string): boolean => /^[A-Za-z][\w.-]*\/[A-Za-z][\w-]*=.+$/.test(text);

/** `all`, `2`, `device=0,1`, `"device=0,1",capabilities=utility`, `driver=nvidia`. @throws UsageError */
function gpuRequest(text: string): object {
  const fields = fieldsOf(/^(all|\d+)$/.test(text) ? `count=${text}` : text).map((field) => field.split(/=(.*)/s, 2));
  const given = new Map(fields.map(([key = "", value = ""]) => [key, value]));
  const wrong = [...given.keys()].find(
    (key) => !["count", "device", "driver", "capabilities", "options"].includes(key),
  );
  if (wrong !== undefined)
    throw new UsageError(`invalid argument "${text}" for "--gpus" flag: unexpected key '${wrong}' in '${text}'`);
  const [devices, count] = [given.get("device")?.split(","), given.get("count")];
  return {
    Driver: given.get("driver") ?? "",
    Count: count === "all" ? -1 : count === undefined ? (devices ? 0 : 1) : Number(count),
    DeviceIDs: devices ?? null,
    Capabilities: [["gpu", ...(given.get("capabilities")?.split(",") ?? [])]],
    Options: pairs(given.get("options")?.split(",") ?? []),
  };
}

function deviceRequests(flags: Flags): readonly object[] {
  const named = flags.list("device").filter(isCdi);
  return [
    ...flags.list("gpus").map(gpuRequest),
    ...(named.length > 0 ? [{ Driver: "cdi", Count: 0, DeviceIDs: named, Capabilities: null, Options: {} }] : []),
  ];
}

/** The part of HostConfig. @throws UsageError */
export const devicesOf = (flags: Flags): object => ({
  Devices: flags
    .list("device")
    .filter((text) => !isCdi(text))
    .map(device),
  DeviceRequests: deviceRequests(flags),
});
