/** Answers as shapes: which keys, of which types. Two engines give the same shape for the same question, whatever the values. Pure. */

import { isObject } from "../../src/base/objects.ts";

/** A type's name, several when elements differ; a list of what its elements are; an object's keys. */
export type Shape = string | readonly [] | readonly [Shape] | { readonly [key: string]: Shape };

/** Objects whose keys are data, as labels: all of their values are one shape, under `*`. */
const MAPS = new Set([
  ...["Labels", "Networks", "Ports", "ExposedPorts", "PortBindings", "Volumes", "Containers", "Sysctls"],
  ...["Runtimes", "IndexConfigs", "networks", "LogConfig.Config", "AuxiliaryAddresses", "Tmpfs", "DriverOpts"],
  ...["IPAM.Options", "stats", "GraphDriver.Data", "Config.Annotations", "Details"],
]);

const isMap = (path: readonly string[]): boolean =>
  MAPS.has(path.at(-1) ?? "") || MAPS.has(path.slice(-2).join(".")) || path.join(".") === "Options";

const isList = (shape: Shape | undefined): shape is readonly [] | readonly [Shape] => Array.isArray(shape);

const isFields = (shape: Shape | undefined): shape is { readonly [key: string]: Shape } =>
  isObject(shape) && !Array.isArray(shape);

/** What is one or the other. Keys that only one has are kept: a list's elements leave out what they do not have. */
function merged(one: Shape | undefined, other: Shape): Shape {
  if (one === undefined) return other;
  if (isList(one) && isList(other))
    return one.length === 0 ? other : other.length === 0 ? one : [merged(one[0], other[0])];
  if (isFields(one) && isFields(other)) {
    const keys = [...new Set([...Object.keys(one), ...Object.keys(other)])];
    return Object.fromEntries(keys.map((key) => [key, either(one[key], other[key])]));
  }
  if (typeof one === "string" && typeof other === "string")
    return [...new Set([...one.split("|"), ...other.split("|")])].toSorted().join("|");
  return one === "null" ? other : one; // a structure tells more than its absence
}

function either(one: Shape | undefined, other: Shape | undefined): Shape {
  if (other === undefined) return one ?? "null";
  return merged(one, other);
}

/** @param path  keys that lead to `value` */
export function shapeOf(value: unknown, path: readonly string[] = []): Shape {
  if (value === null || value === undefined) return "null";
  if (Array.isArray(value)) {
    const [first, ...rest] = value.map((item) => shapeOf(item, [...path, "[]"]));
    return first === undefined ? [] : [rest.reduce<Shape>(merged, first)];
  }
  if (!isObject(value)) return typeof value;
  const entries = Object.entries(value);
  if (!isMap(path)) return Object.fromEntries(entries.map(([key, inner]) => [key, shapeOf(inner, [...path, key])]));
  const [first, ...rest] = entries.map(([, inner]) => shapeOf(inner, [...path, "*"]));
  return first === undefined ? {} : { "*": rest.reduce<Shape>(merged, first) };
}

const isEmpty = (shape: Shape): boolean => typeof shape !== "string" && Object.keys(shape).length === 0;

const nameOf = (shape: Shape): string => (typeof shape === "string" ? shape : isList(shape) ? "list" : "object");

/**
 * What a client that knows `wanted` would miss in `given`. More keys are no harm, and neither is an empty list or map where the other has something
 * in it: that is another value of the same type.
 * @returns a line for each, as `NetworkSettings.Ports: null, want object`
 */
export function differences(wanted: Shape, given: Shape, path = ""): readonly string[] {
  if (wanted === "null" && isEmpty(given)) return []; // who takes null takes nothing in a list
  const at = path || "the answer";
  if (typeof wanted === "string" || typeof given === "string") {
    const [want, is] = [nameOf(wanted), nameOf(given)];
    return want.split("|").some((one) => is.split("|").includes(one)) ? [] : [`${at}: ${is}, want ${want}`];
  }
  if (isList(wanted) && isList(given)) {
    const [want, is] = [wanted[0], given[0]];
    return want === undefined || is === undefined ? [] : differences(want, is, `${path}[]`);
  }
  if (!isFields(wanted) || !isFields(given)) return [`${at}: ${nameOf(given)}, want ${nameOf(wanted)}`];
  const inside = (key: string) => (path === "" ? key : `${path}.${key}`);
  if ("*" in wanted && !("*" in given)) return []; // an empty map
  return Object.entries(wanted).flatMap(([key, want]) => {
    const is = given[key];
    return is === undefined ? [`${inside(key)}: missing`] : differences(want, is, inside(key));
  });
}
