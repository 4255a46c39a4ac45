/** @file Which parameters of which stages a recipe key decides. */
import type { JsonObject } from "../base/json.js";
import { isObject, recipeKeyPath } from "./changes.js";
import type { RecipeStage } from "./stages-of-recipe.js";

export interface ReachedStage {
  /** The stage's id in the recipe's plan. */
  stage: string;
  /** Parameter paths: `train.learning_rate`. */
  params: readonly string[];
}

/**
 * Returns the stages that have a parameter from this recipe key, or from below it where it is a
 * section. What decides only how a stage runs has no parameter.
 */
export function reachOf(keyPath: string, stages: readonly RecipeStage[]): ReachedStage[] {
  return stages.flatMap((stage) => {
    const params = leafPaths(stage.params, "").filter((path) => {
      // The model card quotes everything.
      if (stage.kind === "export" && path.startsWith("recipe.")) return false;
      return isWithin(recipeKeyPath(path, stage.origins), keyPath);
    });
    return params.length === 0 ? [] : [{ stage: stage.id, params }];
  });
}

function isWithin(path: string, section: string): boolean {
  return section === "" || path === section || path.startsWith(`${section}.`);
}

/** A list is one value: of datasets and files, what matters is that they are there. */
function leafPaths(params: JsonObject, prefix: string): string[] {
  return Object.entries(params).flatMap(([key, value]) =>
    isObject(value) ? leafPaths(value, `${prefix}${key}.`) : [`${prefix}${key}`],
  );
}
