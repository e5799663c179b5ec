import { describe, expect, test } from "bun:test";
import { Document } from "../../../src/api/document.ts";

describe("Document", () => {
  test("finds a field whatever the case of its name, the exact one first", () => {
    const document = new Document({ detachKeys: "ctrl-x", tty: true, Tty: false });
    expect(document.text("DetachKeys")).toBe("ctrl-x");
    expect(document.flag("Tty")).toBe(false);
    expect(document.has("Nothing")).toBe(false);
  });

  test("keeps the names of a map apart", () => {
    expect(new Document({ Labels: { a: "1", A: "2" } }).texts("Labels")).toEqual({ a: "1", A: "2" });
  });
});
