/** Numbers that are told to Prometheus. Source: Prometheus' text exposition format 0.0.4. Pure but for the clock. */

type Labels = Readonly<Record<string, string>>;

const escaped = (text: string): string => text.replace(/[\\"\n]/g, (one) => (one === "\n" ? "\\n" : `\\${one}`));

function labelled(name: string, labels: Labels): string {
  const words = Object.entries(labels).map(([key, value]) => `${key}="${escaped(value)}"`);
  return words.length > 0 ? `${name}{${words.join(",")}}` : name;
}

/** One family of numbers. */
export interface Metric {
  readonly name: string;
  readonly help: string;
  readonly type: "counter" | "gauge" | "histogram";
  /** Lines of the exposition, without newlines. */
  samples(): readonly string[];
}

export type Sampled = readonly (readonly [labels: Labels, value: number])[];

/** @param read  asked whenever somebody looks */
export const sampled = (type: "counter" | "gauge", name: string, help: string, read: () => Sampled): Metric => ({
  ...{ type, name, help },
  samples: () => read().map(([labels, value]) => `${labelled(name, labels)} ${value}`),
});

/** Without labels. */
export const single = (type: "counter" | "gauge", name: string, help: string, read: () => number): Metric =>
  sampled(type, name, help, () => [[{}, read()]]);

/** Prometheus' default buckets, seconds. */
const BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

interface Series {
  readonly counts: number[];
  count: number;
  sum: number;
}

/** How long things took, by one label. */
export class Histogram implements Metric {
  readonly type = "histogram";
  readonly #series = new Map<string, Series>();

  /** @param label  that tells series apart; undefined when there is one only */
  constructor(
    readonly name: string,
    readonly help: string,
    readonly label?: string,
  ) {}

  observe(seconds: number, value = ""): void {
    const series = this.#series.get(value) ?? { counts: BUCKETS.map(() => 0), count: 0, sum: 0 };
    this.#series.set(value, series);
    series.count += 1;
    series.sum += seconds;
    const at = BUCKETS.findIndex((limit) => seconds <= limit);
    if (at >= 0) series.counts[at] = (series.counts[at] ?? 0) + 1;
  }

  samples(): readonly string[] {
    return [...this.#series].flatMap(([value, series]) => this.#lines(value, series));
  }

  #lines(value: string, { counts, count, sum }: Series): readonly string[] {
    const own: Labels = this.label === undefined ? {} : { [this.label]: value };
    let below = 0;
    const buckets = BUCKETS.map((limit, at) => {
      below += counts[at] ?? 0;
      return `${labelled(`${this.name}_bucket`, { ...own, le: String(limit) })} ${below}`;
    });
    return [
      ...buckets,
      `${labelled(`${this.name}_bucket`, { ...own, le: "+Inf" })} ${count}`,
      `${labelled(`${this.name}_sum`, own)} ${sum}`,
      `${labelled(`${this.name}_count`, own)} ${count}`,
    ];
  }
}

/** @returns the exposition of all of them */
export const exposition = (metrics: readonly Metric[]): string =>
  metrics
    .toSorted((one, other) => (one.name < other.name ? -1 : 1))
    .flatMap((metric) => [
      `# HELP ${metric.name} ${metric.help}`,
      `# TYPE ${metric.name} ${metric.type}`,
      ...metric.samples(),
    ])
    .map((line) => `${line}\n`)
    .join("");
