import { expect, test } from "bun:test";
import { differences, type Shape, shapeOf } from "../../support/shapes.ts";

test.each<[value: unknown, shape: Shape]>([
  [
    { a: 1, b: "x", c: null, d: true },
    { a: "number", b: "string", c: "null", d: "boolean" },
  ],
  [[], []],
  [[1, "x", null], ["null|number|string"]],
  [[{ a: 1 }, { b: [1] }], [{ a: "number", b: ["number"] }]],
  [{ Labels: { one: "1", two: "2" } }, { Labels: { "*": "string" } }],
  [{ Ports: [{ IP: "x" }] }, { Ports: [{ IP: "string" }] }],
])("shapeOf(%p) is %p", (value, shape) => {
  expect(shapeOf(value)).toEqual(shape);
});

test.each<[wanted: unknown, given: unknown, lines: readonly string[]]>([
  [{ a: 1 }, { a: 2, more: true }, []],
  [{ a: { b: 1 } }, { a: {} }, ["a.b: missing"]],
  [{ a: [] }, { a: null }, ["a: null, want list"]],
  [{ a: null }, { a: [] }, []],
  [{ a: null }, { a: ["x"] }, ["a: list, want null"]],
  [{ a: 1 }, { a: "1" }, ["a: string, want number"]],
  [[{ a: 1 }], [{ a: 1 }, { b: 1 }], []],
  [[{ a: 1 }], [{ b: 1 }], ["[].a: missing"]],
  [{ Labels: { one: "1" } }, { Labels: { other: "2" } }, []],
  [{ Labels: { one: "1" } }, { Labels: {} }, []],
  [{ Labels: { one: "1" } }, { Labels: { one: 1 } }, ["Labels.*: number, want string"]],
])("differences() of %p and %p are %p", (wanted, given, lines) => {
  expect(differences(shapeOf(wanted), shapeOf(given))).toEqual(lines);
});
