/**
 * @file Draws the stages of a run as a layered graph in SVG: a stage stands right of everything
 * that it needs, and an edge that passes a layer has a place of its own in it.
 */
import { html, type Html } from "./html.js";

export interface DagNode {
  id: string;
  needs: readonly string[];
  /** Lines below the id. */
  lines: readonly string[];
  /** Names the colour: a class of the style sheet. */
  tone: "good" | "bad" | "idle";
  /** Shown by the browser over the node. */
  title: string;
}

const NODE_WIDTH = 150;
const NODE_HEIGHT = 68;
const PASS_HEIGHT = 10;
const COLUMN_GAP = 40;
const ROW_GAP = 18;
const MARGIN = 4;
const SWEEPS = 8;

/** A place in a layer: a node, or an edge on its way through (`node` absent). */
interface Place {
  key: string;
  node?: DagNode;
  layer: number;
  height: number;
  /** Vertical centre. */
  y: number;
  before: Place[];
  after: Place[];
}

/** Returns the layer of each node: one more than that of the last thing it needs. */
export function layersOf(nodes: readonly Pick<DagNode, "id" | "needs">[]): Map<string, number> {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const layers = new Map<string, number>();
  const visit = (id: string, path: readonly string[]): number => {
    const known = layers.get(id);
    if (known !== undefined) return known;
    // A cycle cannot be planned; in a damaged plan it must not hang the report.
    const needs = (byId.get(id)?.needs ?? []).filter(
      (need) => byId.has(need) && need !== id && !path.includes(need),
    );
    const layer = Math.max(-1, ...needs.map((need) => visit(need, [...path, id]))) + 1;
    layers.set(id, layer);
    return layer;
  };
  for (const { id } of nodes) visit(id, []);
  return layers;
}

/** Returns the layers with nodes and passing edges, ordered so that few edges cross. */
function place(nodes: readonly DagNode[]): Place[][] {
  const layerOf = layersOf(nodes);
  const layers: Place[][] = [];
  const add = (place: Omit<Place, "y" | "before" | "after">): Place => {
    const full: Place = { ...place, y: 0, before: [], after: [] };
    (layers[place.layer] ??= []).push(full);
    return full;
  };
  const places = new Map<string, Place>();
  for (const node of nodes) {
    const layer = layerOf.get(node.id)!;
    places.set(node.id, add({ key: node.id, node, layer, height: NODE_HEIGHT }));
  }
  for (const node of nodes) {
    for (const need of new Set(node.needs)) {
      let from = places.get(need);
      const to = places.get(node.id)!;
      if (from === undefined || from.layer >= to.layer) continue;
      for (let layer = from.layer + 1; layer <= to.layer; layer++) {
        const key = `${need}>${node.id}`;
        const next = layer === to.layer ? to : add({ key, layer, height: PASS_HEIGHT });
        from.after.push(next);
        next.before.push(from);
        from = next;
      }
    }
  }
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    const forwards = sweep % 2 === 0;
    const order = forwards ? layers : [...layers].reverse();
    for (const layer of order) {
      const rank = new Map(layer.map((item, i) => [item, i]));
      const wish = (item: Place): number => {
        const others = forwards ? item.before : item.after;
        if (others.length === 0) return rank.get(item)!;
        return others.reduce((sum, other) => sum + other.y, 0) / others.length;
      };
      const wishes = new Map(layer.map((item) => [item, wish(item)]));
      layer.sort((a, b) => wishes.get(a)! - wishes.get(b)! || rank.get(a)! - rank.get(b)!);
      const total = layer.reduce((sum, { height }) => sum + height, ROW_GAP * (layer.length - 1));
      let top = -total / 2;
      for (const item of layer) {
        item.y = top + item.height / 2;
        top += item.height + ROW_GAP;
      }
    }
  }
  return layers;
}

/** A smooth path from the right side of a node through the passing places to the next node. */
function edgePath(from: Place, to: Place, left: (layer: number) => number): Html {
  const points: [number, number][] = [[left(from.layer) + NODE_WIDTH, from.y]];
  let end = to;
  while (end.node === undefined) {
    points.push([left(end.layer), end.y], [left(end.layer) + NODE_WIDTH, end.y]);
    end = end.after[0]!;
  }
  points.push([left(end.layer), end.y]);
  let path = `M${points[0]![0]} ${points[0]![1]}`;
  for (let i = 1; i < points.length; i++) {
    const [x0, y0] = points[i - 1]!;
    const [x1, y1] = points[i]!;
    const bend = (x1 - x0) / 2;
    path += ` C${x0 + bend} ${y0} ${x1 - bend} ${y1} ${x1} ${y1}`;
  }
  return html`<path class="edge" d="${path}"><title>${from.key} → ${end.key}</title></path>`;
}

function drawNode({ node, layer, y }: Place, left: (layer: number) => number): Html {
  if (node === undefined) return html``;
  const x = left(layer);
  const top = y - NODE_HEIGHT / 2;
  const shown = node.id.length > 17 ? `${node.id.slice(0, 16)}…` : node.id;
  return html`<g class="node tone-${node.tone}">
    <title>${node.title}</title>
    <rect x="${x}" y="${top}" width="${NODE_WIDTH}" height="${NODE_HEIGHT}" rx="8"></rect>
    <rect class="band" x="${x}" y="${top + 10}" width="3" height="${NODE_HEIGHT - 20}"></rect>
    <text class="id" x="${x + 14}" y="${top + 23}">${shown}</text>
    ${node.lines.map(
      (line, i) => html`<text x="${x + 14}" y="${top + 41 + 16 * i}">${line}</text>`,
    )}
  </g>`;
}

/** Returns the graph as an SVG element that scales down to its container. */
export function drawDag(nodes: readonly DagNode[]): Html {
  const layers = place(nodes);
  const all = layers.flat();
  const top = Math.min(...all.map(({ y, height }) => y - height / 2)) - MARGIN;
  const bottom = Math.max(...all.map(({ y, height }) => y + height / 2)) + MARGIN;
  const left = (layer: number) => MARGIN + layer * (NODE_WIDTH + COLUMN_GAP);
  const width = left(layers.length) - COLUMN_GAP + MARGIN;
  const edges = all
    .filter(({ node }) => node !== undefined)
    .flatMap((from) => from.after.map((to) => edgePath(from, to, left)));
  const label = `Stages: ${nodes.map(({ id }) => id).join(", ")}`;
  return html`<svg
    class="dag"
    viewBox="0 ${top} ${width} ${bottom - top}"
    width="${width}"
    height="${bottom - top}"
    role="img"
    aria-label="${label}"
  >
    ${edges}${all.map((item) => drawNode(item, left))}
  </svg>`;
}
