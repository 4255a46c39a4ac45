/**
 * @file `${name}` and `${env:NAME}` in a recipe's values. A value that is nothing but a variable
 * becomes the variable's value, of whatever type; within a text it must be a single value.
 * `$${` stands for `${` itself.
 */
import type { Issue } from "./issues.js";
import { nearest, RecipeError } from "./issues.js";
import { parseYaml } from "./parse.js";
import { SIZE_LIMIT_BYTES } from "./recipe-text.js";
import { findNode } from "./source-tree.js";
import type {
  MapEntry,
  MapNode,
  Position,
  Scalar,
  ScalarNode,
  SourceNode,
  Variable,
} from "./source-tree.js";
import { NODE_LIMIT } from "./yaml-tree.js";

const VARIABLE = /\$\$\{|\$\{([^{}]*)\}/g;

const LITERAL = '; if the text has "${" in it, write "$${"';

/** Environment variables by name. */
export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Returns the tree with its variables replaced by their values. `vars` itself is left out of it:
 * all that it says has been used. A value keeps the position at which it was written.
 */
export function replaceVariables(
  root: MapNode,
  environment: Environment,
): { root: MapNode; issues: readonly Issue[] } {
  const issues: Issue[] = [];
  const definitions = root.entries.get("vars")?.value;
  const defined = definitions?.type === "map" ? definitions.entries : new Map<string, MapEntry>();
  const resolved = new Map<string, SourceNode | undefined>();
  const open: string[] = [];
  const usedNames = new Set<string>();
  // How many values variables have put in; as with aliases, few lines can make very many.
  const count = nodeCounter();
  let added = 0;

  const report = (at: Position, message: string, ...details: string[]): undefined => {
    issues.push({ at, message, details });
  };

  /** The value of a variable; undefined when it was reported to have none. */
  const valueOf = (name: string, at: Position): SourceNode | undefined => {
    if (name === "") return report(at, "${} names no variable", `write its name${LITERAL}`);
    if (name.startsWith("env:")) return environmentValue(name.slice("env:".length), at);
    const entry = defined.get(name);
    if (entry === undefined) {
      const suggestion = nearest(name, [...defined.keys()]);
      return report(
        at,
        `there is no variable ${JSON.stringify(name)}`,
        defined.size === 0 ? 'define it under "vars:"' : `vars: ${[...defined.keys()].join(", ")}`,
        ...(suggestion === undefined ? [] : [`did you mean ${JSON.stringify(suggestion)}?`]),
      );
    }
    if (open.includes(name)) {
      const circle = [...open.slice(open.indexOf(name)), name].join(" -> ");
      return report(at, `variables need each other in a circle: ${circle}`);
    }
    if (!resolved.has(name)) {
      open.push(name);
      resolved.set(name, replaceIn(entry.value));
      open.pop();
    }
    return resolved.get(name);
  };

  const environmentValue = (name: string, at: Position): SourceNode | undefined => {
    if (name === "") {
      return report(at, "${env:} names no variable", 'write its name, as in "${env:SEED}"');
    }
    const text = Object.hasOwn(environment, name) ? environment[name] : undefined;
    if (text === undefined) {
      return report(
        at,
        `the environment has no variable ${JSON.stringify(name)}`,
        `set it, as in ${name}=… dllm plan …, or write the value into the recipe`,
      );
    }
    return { type: "scalar", value: scalarOf(text, name), at };
  };

  const used = (text: string, name: string, at: Position) => {
    return { text, kind: kindOf(name), usedAt: at };
  };
  const definitionsOf = (name: string, value: SourceNode): Variable["definitions"] => {
    const entry = defined.get(name);
    return new Map([
      ...(entry === undefined ? [] : [[name, entry] as const]),
      ...(value.via?.definitions ?? []),
    ]);
  };

  const replaceText = (node: ScalarNode, text: string): SourceNode => {
    const { at } = node;
    const whole = /^\$\{([^{}]*)\}$/.exec(text);
    if (whole !== null) {
      const name = whole[1]!.trim();
      usedNames.add(name);
      const value = valueOf(name, at);
      const nothing: SourceNode = { ...node, value: null, isReported: true };
      if (value === undefined || added > NODE_LIMIT) return nothing;
      added += count(value);
      if (added > NODE_LIMIT) {
        report(at, `variables expand the recipe to more than ${NODE_LIMIT} values`);
        return nothing;
      }
      return {
        ...value,
        via: { ...used(text, name, at), definitions: definitionsOf(name, value) },
      };
    }
    // What is left of a text when its variables are taken out.
    if (text.replace(VARIABLE, " ").includes("${")) {
      report(at, 'a variable that begins with "${" does not end with "}"', `close it${LITERAL}`);
      return { ...node, value: null, isReported: true };
    }
    let via: Omit<Variable, "definitions"> | undefined;
    const definitions = new Map<string, MapEntry>();
    let length = text.length;
    const replaced = text.replace(VARIABLE, (match, inner: string | undefined) => {
      if (inner === undefined) return "${";
      const name = inner.trim();
      usedNames.add(name);
      const value = valueOf(name, at);
      if (value === undefined) return match;
      via ??= used(text, name, at);
      for (const [each, entry] of definitionsOf(name, value)) definitions.set(each, entry);
      if (value.type === "scalar" && value.value !== null) {
        const inserted = String(value.value);
        length += inserted.length;
        return length > SIZE_LIMIT_BYTES ? "" : inserted;
      }
      report(at, `variable ${JSON.stringify(name)} is a ${value.type}, which no text can contain`);
      return match;
    });
    if (length > SIZE_LIMIT_BYTES) {
      report(at, `variables expand to a text of more than ${SIZE_LIMIT_BYTES} characters`);
      return { ...node, value: null, isReported: true };
    }
    return { ...node, value: replaced, ...(via !== undefined && { via: { ...via, definitions } }) };
  };

  const replaceIn = (node: SourceNode): SourceNode => {
    switch (node.type) {
      case "scalar":
        return typeof node.value === "string" && node.value.includes("${")
          ? replaceText(node, node.value)
          : node;
      case "list":
        return { ...node, items: node.items.map(replaceIn) };
      case "map":
        return replaceInMap(node);
    }
  };

  const replaceInMap = (map: MapNode): MapNode => ({
    ...map,
    entries: new Map(
      [...map.entries].map(([key, entry]) => [key, { ...entry, value: replaceIn(entry.value) }]),
    ),
  });

  // Definitions first, once each: a variable that nothing uses is checked, too.
  for (const [name, { keyAt }] of defined) valueOf(name, keyAt);
  const entries = new Map(
    [...root.entries].map(([key, entry]) => [
      key,
      key === "vars" ? entry : { ...entry, value: replaceIn(entry.value) },
    ]),
  );
  for (const { name, keyAt } of fromOutside(root, defined)) {
    if (usedNames.has(name)) continue;
    const suggestion = nearest(name, [...usedNames]);
    report(
      keyAt,
      `nothing uses variable ${JSON.stringify(name)}, so that nothing here would change`,
      usedNames.size === 0
        ? "no value of the recipe has a variable"
        : `used: ${[...usedNames].join(", ")}`,
      ...(suggestion === undefined ? [] : [`did you mean ${JSON.stringify(suggestion)}?`]),
    );
  }
  return { root: { ...root, entries }, issues };
}

/**
 * Variables that `--set` or a sweep writes: what they are for must be in the recipe. A part may
 * leave that to the recipes that extend it.
 */
function fromOutside(
  root: MapNode,
  defined: ReadonlyMap<string, MapEntry>,
): { name: string; keyAt: Position }[] {
  if (!root.entries.has("name")) return [];
  const set = [...defined].filter(([, { keyAt }]) => keyAt.origin.kind === "override");
  const { node, exact } = findNode(root, ["sweep", "parameters"]);
  const swept = exact && node.type === "map" ? [...node.entries] : [];
  return [
    ...set.map(([name, { keyAt }]) => ({ name, keyAt })),
    ...swept
      .filter(([key]) => key.startsWith("vars."))
      .map(([key, { keyAt }]) => ({ name: key.split(".")[1]!, keyAt })),
  ];
}

/** As if it stood in the recipe: `1e-3` is a number, `true` a truth value; all else is text. */
function scalarOf(text: string, name: string): Scalar {
  try {
    const source = { kind: "override", label: `$${name}`, order: 0 } as const;
    const { root, issues } = parseYaml(text, source);
    return root?.type === "scalar" && issues.length === 0 ? root.value : text;
  } catch (error) {
    // A password, a path or a glob need not be YAML.
    if (error instanceof RecipeError) return text;
    throw error;
  }
}

/** Returns a function that counts the values in a tree, each shared part of it once. */
function nodeCounter(): (node: SourceNode) => number {
  const counts = new WeakMap<SourceNode, number>();
  const count = (node: SourceNode): number => {
    if (node.type === "scalar") return 1;
    const known = counts.get(node);
    if (known !== undefined) return known;
    const below =
      node.type === "list" ? node.items : [...node.entries.values()].map((e) => e.value);
    const total = below.reduce((sum, each) => sum + count(each), 1);
    counts.set(node, total);
    return total;
  };
  return count;
}

function kindOf(name: string): "variable" | "environment" {
  return name.startsWith("env:") ? "environment" : "variable";
}
