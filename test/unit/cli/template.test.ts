import { describe, expect, test } from "bun:test";
import { formatted } from "../../../src/cli/format.ts";
import { parseTemplate } from "../../../src/cli/template.ts";

const data = {
  Name: "/web",
  Up: true,
  Ports: [80, 443],
  Labels: { b: "2", a: "1" },
  Config: { Env: ["A=1"], Cmd: null },
  Size: 12,
};

describe("parseTemplate() of", () => {
  test.each<[template: string, expected: string]>([
    ["{{.Name}}", "/web"],
    ["a {{ .Config.Env }} b", "a [A=1] b"],
    ["{{.Labels}} {{.Config.Cmd}} {{.Nothing}}", "map[a:1 b:2] <nil> <no value>"],
    ["{{json .Labels}}", '{"b":"2","a":"1"}'],
    ['{{index .Labels "a"}}{{index .Ports 1}}', "1443"],
    ["{{len .Ports}}", "2"],
    ['{{join .Config.Env ","}}', "A=1"],
    ["{{range .Ports}}<{{.}}>{{end}}", "<80><443>"],
    ["{{range $key, $value := .Labels}}{{$key}}={{$value}};{{end}}", "a=1;b=2;"],
    ["{{range .None}}x{{else}}empty{{end}}", "empty"],
    ["{{if .Up}}up{{else}}down{{end}}", "up"],
    ["{{if not .Up}}down{{else if eq .Size 12}}twelve{{end}}", "twelve"],
    ["{{with .Config}}{{.Env}}{{$.Name}}{{end}}", "[A=1]/web"],
    ['{{.Name | upper | printf "%-6s|"}}', "/WEB  |"],
    ['{{printf "%q %d%%" .Name .Size}}', '"/web" 12%'],
    ["{{(index .Config.Env 0) | lower}}", "a=1"],
    ["a  {{- .Name -}}  b", "a/webb"],
    ["{{/* nothing */}}{{println .Size}}", "12\n"],
    ['{{and .Up .Size}}{{or "" .Name}}', "12/web"],
  ])("%j", (template, expected) => {
    expect(parseTemplate(template)(data)).toBe(expected);
  });

  test.each([
    "{{.Name",
    "{{end}}",
    "{{if .Up}}",
    "{{nope .Name}}",
    "{{range}}x{{end}}",
    "{{.Name | }}",
    "{{(.Name}}",
    "{{%}}",
  ])("%j is refused", (template) => {
    expect(() => parseTemplate(template)).toThrow("template parsing error");
  });
});

test("formatted() makes a table, JSON or what a template says", () => {
  const layout = { columns: ["ID", "Size"], headings: { ID: "IMAGE ID", Size: "SIZE", Tag: "TAG" } };
  const rows = [{ ID: "abc", Size: "1MB", Tag: "x" }];
  expect(formatted(rows, undefined, layout)).toBe("IMAGE ID   SIZE\nabc        1MB");
  expect(formatted(rows, "table {{.Tag}}\\t{{.ID}}", layout)).toBe("TAG       IMAGE ID\nx         abc");
  expect(formatted(rows, "json", layout)).toBe('{"ID":"abc","Size":"1MB","Tag":"x"}');
  expect(formatted(rows, "{{.ID}}:{{.Tag}}", layout)).toBe("abc:x");
});
