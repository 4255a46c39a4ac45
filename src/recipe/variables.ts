/**
 * @file `${name}` and `${env:NAME}` in a recipe's values. A value that is nothing but a variable
 * becomes the variable's value, of whatever type; within a text it must be a single value.
 * `$${` stands for `${` itself.
 */
import type { Issue } from "./issues.js";
import { nearest } from "./issues.js";
import { parseYaml } from "./parse.js";
import type { MapEntry, MapNode, Position, ScalarNode, SourceNode } from "./source-tree.js";

const VARIABLE = /\$\$\{|\$\{([^{}]*)\}/g;

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

  const report = (at: Position, message: string, ...details: string[]): undefined => {
    issues.push({ at, message, details });
  };

  /** The value of a variable; undefined when it was reported to have none. */
  const valueOf = (name: string, at: Position): SourceNode | undefined => {
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
    const text = Object.hasOwn(environment, name) ? environment[name] : undefined;
    if (text === undefined) {
      return report(
        at,
        `the environment has no variable ${JSON.stringify(name)}`,
        `set it, as in ${name}=… dllm plan …, or write the value into the recipe`,
      );
    }
    // As if it stood here: `1e-3` is a number, `true` a truth value.
    const { root: value } = parseYaml(text, { kind: "override", label: `$${name}`, order: 0 });
    if (value === undefined || value.type !== "scalar") {
      return { type: "scalar", value: text, at };
    }
    return { ...value, at };
  };

  const replaceText = (node: ScalarNode, text: string): SourceNode => {
    const { at } = node;
    const whole = /^\$\{([^{}]*)\}$/.exec(text);
    if (whole !== null) {
      const name = whole[1]!.trim();
      const value = valueOf(name, at);
      if (value === undefined) return { ...node, value: null, isReported: true };
      return { ...value, via: { text, kind: kindOf(name), usedAt: at } };
    }
    let via: SourceNode["via"];
    const replaced = text.replace(VARIABLE, (match, inner: string | undefined) => {
      if (inner === undefined) return "${";
      const name = inner.trim();
      const value = valueOf(name, at);
      if (value === undefined) return match;
      via ??= { text, kind: kindOf(name), usedAt: at };
      if (value.type === "scalar" && value.value !== null) return String(value.value);
      report(at, `variable ${JSON.stringify(name)} is a ${value.type}, which no text can contain`);
      return match;
    });
    return { ...node, value: replaced, ...(via !== undefined && { via }) };
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
  return { root: { ...root, entries }, issues };
}

function kindOf(name: string): "variable" | "environment" {
  return name.startsWith("env:") ? "environment" : "variable";
}
