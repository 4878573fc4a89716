/** What a run was started on, a folder, file or selection, becomes the argument that asks for it. */
import type { Field } from "./fields";

export interface Seed {
  /** Relative to the workspace folder, with forward slashes. */
  readonly path?: string;
  readonly selection?: string;
}

const PATH_NAMES = /^(path|folder|directory|dir|file|target|where|root|scope)s?$/i;
const TEXT_NAMES = /^(selection|text|code|snippet|task|question|prompt|input)$/i;

/** Values for the fields that ask for what there is; the others keep their defaults. */
export function seedArguments(fields: readonly Field[], seed: Seed): Record<string, unknown> {
  const found: Record<string, unknown> = {};
  const put = (value: string | undefined, names: RegExp): void => {
    if (!value) return;
    const field = fields.find(
      ({ name, kind }) => names.test(name) && !(name in found) && (kind === "text" || kind === "texts"),
    );
    if (field) found[field.name] = field.kind === "texts" ? [value] : value;
  };
  put(seed.path, PATH_NAMES);
  put(seed.selection, TEXT_NAMES);
  return found;
}
