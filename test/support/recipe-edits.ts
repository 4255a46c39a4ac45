/** @file Edits of a recipe's text, each at a place that is known from the text alone. */
import { isMap, isScalar, isSeq, parseDocument, type Node, type Pair } from "yaml";

/** A key with its value, or an item of a list. */
export interface Place {
  /** Keys and indices. */
  path: readonly string[];
  /** Offsets of the key; none for an item. */
  key?: readonly [start: number, end: number];
  /** Offsets of the value. */
  value: readonly [start: number, end: number];
  kind: "map" | "list" | "scalar";
  plain: unknown;
  /** Whether it is in a map or list in brackets. */
  isFlow: boolean;
}

/** Returns every key and every list item of a YAML text, in order. */
export function placesOf(text: string): Place[] {
  const places: Place[] = [];
  const add = (node: Node, path: readonly string[], isFlow: boolean, key?: Node): void => {
    const [start, end] = node.range!;
    places.push({
      path,
      ...(key !== undefined && { key: [key.range![0], key.range![1]] as const }),
      value: [start, end],
      kind: isMap(node) ? "map" : isSeq(node) ? "list" : "scalar",
      plain: node.toJS(document),
      isFlow,
    });
    visit(node, path);
  };
  const visit = (node: Node, path: readonly string[]) => {
    const isFlow = (node as { flow?: boolean }).flow === true;
    if (isMap(node)) {
      for (const { key, value } of node.items as Pair<Node, Node>[]) {
        if (!isScalar(key)) throw new Error("a key is no scalar");
        add(value!, [...path, String(key.value)], isFlow, key);
      }
    } else if (isSeq(node)) {
      node.items.forEach((item, index) => {
        add(item as Node, [...path, String(index)], isFlow);
      });
    }
  };
  const document = parseDocument(text);
  if (document.contents !== null) visit(document.contents, []);
  return places;
}

/** Returns line and column, from 1, of an offset. */
export function positionAt(text: string, offset: number): { line: number; column: number } {
  const before = text.slice(0, offset).split("\n");
  return { line: before.length, column: before.at(-1)!.length + 1 };
}

export interface Edited {
  text: string;
  /** Where what was edited is now. */
  at: { line: number; column: number };
}

/** Puts a letter into the middle of a key. */
export function withTypo(text: string, { key }: Place): Edited & { typo: string } {
  const [start, end] = key!;
  const word = text.slice(start, end);
  const middle = Math.ceil(word.length / 2);
  const typo = `${word.slice(0, middle)}q${word.slice(middle)}`;
  return {
    text: text.slice(0, start) + typo + text.slice(end),
    at: positionAt(text, start),
    typo,
  };
}

/** Replaces a value by another one, in a form that needs no other line. */
export function withValue(text: string, { value }: Place, written: string): Edited {
  const [start, end] = value;
  const newline = text.slice(start, end).endsWith("\n") ? "\n" : "";
  // An empty value follows its colon directly.
  const space = start === end ? " " : "";
  return {
    text: text.slice(0, start) + space + written + newline + text.slice(end),
    at: positionAt(text, start + space.length),
  };
}

/** Writes a key a second time, before the one that is there. */
export function withDuplicate(text: string, { key, plain, isFlow }: Place): Edited {
  const [start, end] = key!;
  const { column } = positionAt(text, start);
  const separator = isFlow ? ", " : `\n${" ".repeat(column - 1)}`;
  const copy = `${text.slice(start, end)}: ${JSON.stringify(plain)}${separator}`;
  const edited = text.slice(0, start) + copy + text.slice(start);
  return { text: edited, at: positionAt(edited, start + copy.length) };
}

/** Removes a key with its value. */
export function withoutKey(text: string, { path }: Place): string {
  const document = parseDocument(text);
  document.deleteIn(pathIn(text, path));
  return String(document);
}

/** Moves a key into a section that is not there yet, or with `""` to the top level. */
export function movedTo(text: string, place: Place, section: string): Edited {
  const rest = withoutKey(text, place);
  const name = place.path.at(-1)!;
  const pair = `${JSON.stringify(name)}: ${JSON.stringify(place.plain)}`;
  const head = section === "" ? "" : `${section}: {`;
  const moved = `${rest.replace(/\n*$/, "\n")}${head}`;
  const end = section === "" ? "" : "}";
  return { text: `${moved}${pair}${end}\n`, at: positionAt(moved, moved.length) };
}

/** Returns where the key at a path is written. */
export function keyPosition(text: string, path: readonly string[]) {
  const place = placesOf(text).find((each) => each.path.join("\n") === path.join("\n"));
  return place?.key && positionAt(text, place.key[0]);
}

/** Indices as numbers, for `yaml`. */
function pathIn(text: string, path: readonly string[]): (string | number)[] {
  let node: unknown = parseDocument(text).contents;
  return path.map((key) => {
    const own = isSeq(node) ? Number(key) : key;
    node = isMap(node) || isSeq(node) ? node.get(own, true) : undefined;
    return own;
  });
}
