import { describe, expect, test } from "bun:test";
import { exposition, Histogram, sampled, single } from "../../../src/base/metrics.ts";

describe("exposition()", () => {
  test("tells families by name, with help and type, as Prometheus reads them", () => {
    const metrics = [
      single("counter", "b_total", "How many.", () => 3),
      sampled("gauge", "a", "By state.", () => [
        [{ state: "on" }, 1],
        [{ state: 'o"f\\f\n' }, 0.5],
      ]),
    ];
    expect(exposition(metrics)).toBe(
      [
        ...["# HELP a By state.", "# TYPE a gauge", 'a{state="on"} 1', 'a{state="o\\"f\\\\f\\n"} 0.5'],
        ...["# HELP b_total How many.", "# TYPE b_total counter", "b_total 3", ""],
      ].join("\n"),
    );
  });

  test("Histogram counts into buckets that hold those below, too", () => {
    const histogram = new Histogram("took_seconds", "How long.", "action");
    for (const seconds of [0.001, 0.02, 0.02, 20]) histogram.observe(seconds, "start");
    const lines = histogram.samples();
    expect(lines).toContain('took_seconds_bucket{action="start",le="0.005"} 1');
    expect(lines).toContain('took_seconds_bucket{action="start",le="0.025"} 3');
    expect(lines).toContain('took_seconds_bucket{action="start",le="10"} 3');
    expect(lines).toContain('took_seconds_bucket{action="start",le="+Inf"} 4');
    expect(lines).toContain('took_seconds_count{action="start"} 4');
  });
});
