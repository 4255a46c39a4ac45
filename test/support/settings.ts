/** Sections of a recipe with their defaults filled in, for tests of what is made of them. */
import { editions } from "../../src/recipe/editions.js";
import type { Fields } from "../../src/recipe/fields.js";
import { hardwareFields } from "../../src/recipe/hardware-fields.js";
import {
  recipeFields,
  type Edition,
  type HardwareSettings,
  type MaskSettings,
  type PretrainSettings,
  type SftSettings,
} from "../../src/recipe/schema.js";

function defaultsOf(fields: Fields): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields)
      .filter(([, { presence }]) => presence === "defaulted")
      .map(([key, { defaultValue }]) => [key, defaultValue]),
  );
}

function sectionFields(key: keyof typeof recipeFields): Fields {
  const { shape } = recipeFields[key];
  if (shape.type !== "map") throw new TypeError(`${key} is not a section`);
  return shape.fields;
}

function section(
  key: keyof typeof recipeFields,
  edition: Edition,
  written: object,
): Record<string, unknown> {
  const ofEdition = Object.entries(editions[edition])
    .filter(([path]) => path.startsWith(`${key}.`) && path.split(".").length === 2)
    .map(([path, value]) => [path.slice(key.length + 1), value] as const);
  return { ...defaultsOf(sectionFields(key)), ...Object.fromEntries(ofEdition), ...written };
}

export function hardwareSettings(written: Partial<HardwareSettings> = {}): HardwareSettings {
  return { ...defaultsOf(hardwareFields), ...written } as HardwareSettings;
}

export function maskSettings(edition: Edition, written: Partial<MaskSettings> = {}): MaskSettings {
  return section("mask", edition, written) as unknown as MaskSettings;
}

type Written<Settings extends { dataset_args: unknown }> = Partial<Settings> &
  Pick<Settings, "dataset_args">;

export function pretrainSettings(
  edition: Edition,
  written: Written<PretrainSettings>,
): PretrainSettings {
  return section("pretrain", edition, written) as unknown as PretrainSettings;
}

export function sftSettings(edition: Edition, written: Written<SftSettings>): SftSettings {
  return section("sft", edition, written) as unknown as SftSettings;
}
