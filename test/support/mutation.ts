/**
 * @file Builds with one step of a protocol removed: `DLLM_MUTATION` names it. Tests that pass with
 * such a build do not test that step (see test/faults/mutation.faults.ts).
 */
import type { Plugin } from "vite";
import { mutations } from "../faults/mutations.js";

/** Returns the transformation of the sources that the environment asks for: none as a rule. */
export function mutationPlugins(): Plugin[] {
  const name = process.env.DLLM_MUTATION;
  if (name === undefined || name === "") return [];
  const mutation = mutations.find((each) => each.name === name);
  if (!mutation) throw new Error(`DLLM_MUTATION is "${name}", which is none`);
  const { file, find, replace } = mutation;
  return [
    {
      name: "dllm-mutation",
      enforce: "pre",
      transform(code, id) {
        if (!id.endsWith(`/src/${file}`)) return undefined;
        const parts = code.split(find);
        if (parts.length !== 2)
          throw new Error(`${name}: found ${parts.length - 1} times in ${file}`);
        return { code: parts.join(replace), map: null };
      },
    },
  ];
}
