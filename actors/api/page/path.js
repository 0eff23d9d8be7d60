// Where a price went, in few points however long it is: when there are too many, every second one
// goes, and from then on points lie twice as far apart. The last point is always that of now.

const POINTS_MAX = 60;

export class Path {
  constructor() {
    this.points = []; // [time, value], by time
  }

  add(at, value) {
    const { points } = this;
    const before = points.at(-2);
    const apart = points.length > 2 ? (at - points[0][0]) / POINTS_MAX : 0;
    if (before && at - before[0] < apart) points.pop();
    points.push([at, value]);
    if (points.length > POINTS_MAX) this.points = points.filter((_, i) => i % 2 === 0 || i === points.length - 1);
  }

  // What was before the first point: it comes late, from somebody who kept it.
  precede(points) {
    const first = this.points[0]?.[0] ?? Infinity;
    const now = this.points;
    this.points = [];
    for (const [at, value] of [...points.filter(([at]) => at < first), ...now]) this.add(at, value);
  }

  // As the points of a polyline in a box; a path that does not move is a line through its middle.
  drawn(wide, tall, now) {
    const { points } = this;
    if (!points.length) return "";
    const values = points.map(([, value]) => value);
    const low = Math.min(...values);
    const high = Math.max(...values);
    const since = points[0][0];
    const across = (at) => (((at - since) / Math.max(now - since, 1)) * wide).toFixed(1);
    const up = (value) => (high > low ? tall - ((value - low) / (high - low)) * tall : tall / 2).toFixed(1);
    const line = points.map(([at, value]) => `${across(at)},${up(value)}`);
    return [...line, `${wide},${up(values.at(-1))}`].join(" ");
  }
}
