/** @file What the sources import, read from their text: which module, and whether only types. */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import ts from "typescript";

export interface Import {
  /** A path relative to src/ for our own modules (`base/json.ts`), else a package or `node:…`. */
  target: string;
  typeOnly: boolean;
  /** `import("…")`: loaded when it is reached. */
  dynamic: boolean;
}

export const SOURCE_ROOT = "src";

/** Paths of all sources, relative to src/. */
export function sourceFiles(): string[] {
  return readdirSync(SOURCE_ROOT, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts"))
    .map((file) => file.replaceAll("\\", "/"))
    .sort();
}

/** Returns the imports of a source, re-exports included. */
export function importsOf(file: string): Import[] {
  const source = ts.createSourceFile(
    file,
    readFileSync(join(SOURCE_ROOT, file), "utf8"),
    ts.ScriptTarget.Latest,
  );
  const found: Import[] = [];
  const add = (specifier: ts.Expression | undefined, kind: Omit<Import, "target">) => {
    if (specifier !== undefined && ts.isStringLiteral(specifier)) {
      found.push({ target: targetOf(file, specifier.text), ...kind });
    }
  };
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node)) {
      add(node.moduleSpecifier, { typeOnly: importsTypesOnly(node), dynamic: false });
    } else if (ts.isExportDeclaration(node)) {
      add(node.moduleSpecifier, { typeOnly: node.isTypeOnly, dynamic: false });
    } else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      add(node.arguments[0], { typeOnly: false, dynamic: true });
    } else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) {
      if (ts.isStringLiteral(node.argument.literal)) {
        add(node.argument.literal, { typeOnly: true, dynamic: false });
      }
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

function importsTypesOnly({ importClause }: ts.ImportDeclaration): boolean {
  if (importClause === undefined) return false;
  if (importClause.isTypeOnly) return true;
  const bindings = importClause.namedBindings;
  return (
    importClause.name === undefined &&
    bindings !== undefined &&
    ts.isNamedImports(bindings) &&
    bindings.elements.length > 0 &&
    bindings.elements.every(({ isTypeOnly }) => isTypeOnly)
  );
}

function targetOf(file: string, specifier: string): string {
  if (!specifier.startsWith(".")) return specifier;
  const path = relative(SOURCE_ROOT, join(SOURCE_ROOT, dirname(file), specifier));
  return path.replaceAll("\\", "/").replace(/\.js$/, ".ts");
}

/** Everything that loading a source loads with it: our modules, and packages by name. */
export function loadedWith(file: string): Set<string> {
  const loaded = new Set<string>();
  const load = (module: string) => {
    if (loaded.has(module)) return;
    loaded.add(module);
    if (!module.endsWith(".ts")) return;
    for (const { target, typeOnly, dynamic } of importsOf(module)) {
      if (!typeOnly && !dynamic) load(target);
    }
  };
  load(file);
  return loaded;
}
