// Where nodes stand. Wide: a tree from left to right. Narrow: an indented list, as there is no room beside a node.
const CARD = { width: 244, least: 196, height: 84 };
const GAP = { min: 72, max: 190, row: 22 };
const INDENT = 22;

function layoutOf(view, width) {
  const roots = view.nodes.filter((node) => !view.above.has(node.id) || !view.byId.has(view.above.get(node.id).master));
  const levels = Math.max(1, ...view.nodes.map((node) => depthOf(view, node.id) + 1));
  const card = Math.min(CARD.width, (width - (levels - 1) * GAP.min) / levels);
  if (card < CARD.least || (levels > 1 && width < 460)) return indented(view, roots, width);
  const gap = levels < 2 ? 0 : Math.min(GAP.max, (width - levels * card) / (levels - 1));
  return tree(view, roots, width, card, gap);
}

function depthOf(view, id) {
  let depth = 0;
  for (let link = view.above.get(id); link && depth < 64; link = view.above.get(link.master)) depth += 1;
  return depth;
}

function childrenOf(view, id, seen) {
  return (view.below.get(id) || []).map((link) => link.replica).filter((child) => view.byId.has(child) && !seen.has(child));
}

function tree(view, roots, width, card, gap) {
  const places = new Map();
  const seen = new Set();
  let row = 0;
  let columns = 0;
  const place = (id, depth) => {
    seen.add(id);
    columns = Math.max(columns, depth + 1);
    const children = childrenOf(view, id, seen).map((child) => place(child, depth + 1));
    const y = children.length ? (children[0] + children[children.length - 1]) / 2 : row++ * (CARD.height + GAP.row);
    places.set(id, { x: depth * (card + gap), y, width: card, height: CARD.height });
    return y;
  };
  for (const root of roots) if (!seen.has(root.id)) place(root.id, 0);
  for (const node of view.nodes) if (!seen.has(node.id)) place(node.id, 0);
  const used = columns * card + (columns - 1) * gap;
  const left = Math.max(0, (width - used) / 2);
  for (const at of places.values()) at.x += left;
  return { places, width, height: Math.max(1, row) * (CARD.height + GAP.row) - GAP.row, isTree: true };
}

function indented(view, roots, width) {
  const places = new Map();
  const seen = new Set();
  let row = 0;
  const place = (id, depth) => {
    seen.add(id);
    const x = Math.min(depth, 6) * INDENT;
    places.set(id, { x, y: row++ * (CARD.height + 14), width: width - x, height: CARD.height });
    for (const child of childrenOf(view, id, seen)) place(child, depth + 1);
  };
  for (const root of roots) if (!seen.has(root.id)) place(root.id, 0);
  for (const node of view.nodes) if (!seen.has(node.id)) place(node.id, 0);
  return { places, width, height: Math.max(1, row) * (CARD.height + 14) - 14, isTree: false };
}

// The course of a link between two places, and where its words stand.
function courseOf(layout, from, to) {
  if (!layout.isTree) {
    const x = from.x + 10;
    const y = to.y + to.height / 2;
    return { path: `M${x} ${from.y + from.height} V${y - 8} Q${x} ${y} ${x + 8} ${y} H${to.x}` };
  }
  const [x1, y1, x2, y2] = [from.x + from.width, from.y + from.height / 2, to.x, to.y + to.height / 2];
  const bend = (x2 - x1) / 2;
  return { path: `M${x1} ${y1} C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`, x: (x1 + x2) / 2, y: (y1 + y2) / 2 };
}
