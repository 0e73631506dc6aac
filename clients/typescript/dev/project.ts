// A project's wrangler file, as far as `sandkeep dev` needs it.
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';

import { type ParseError, parse as parseJsonc, printParseErrorCode } from 'jsonc-parser';
import { parse as parseToml } from 'smol-toml';

/** What a user can put right; shown without a stack. */
export class UserError extends Error {}

/** A project, in one environment. */
export interface Project {
  /** The wrangler file. */
  readonly file: string;
  readonly directory: string;
  readonly name: string;
  /** Absolute. */
  readonly main: string;
  readonly compatibilityDate: string;
  readonly compatibilityFlags: string[];
  /** `vars`, overlaid by `.dev.vars`. */
  readonly variables: Record<string, unknown>;
  readonly buckets: { readonly binding: string; readonly bucket: string }[];
  /** Names of KV bindings. */
  readonly namespaces: string[];
  readonly durableObjects: { readonly name: string; readonly class: string }[];
  /** Classes that are sandboxes. */
  readonly containers: string[];
}

interface Section {
  vars?: Record<string, unknown>;
  r2_buckets?: { binding: string; bucket_name?: string }[];
  kv_namespaces?: { binding: string }[];
  durable_objects?: { bindings?: { name: string; class_name: string }[] };
  containers?: { class_name?: string }[];
  compatibility_date?: string;
  compatibility_flags?: string[];
  main?: string;
  name?: string;
}

const FILES = ['wrangler.json', 'wrangler.jsonc', 'wrangler.toml'];

/** Reads the project of a directory, or that of a given wrangler file. */
export function readProject(directory: string, file: string | undefined, environment: string | undefined): Project {
  const path = file === undefined ? findFile(directory) : resolve(directory, file);
  const document = parseFile(path);
  const section = environment === undefined ? document : document.env?.[environment];
  if (section === undefined) throw new UserError(`${path}: there is no section env.${environment}`);
  const main = resolve(dirname(path), section.main ?? document.main ?? 'src/index.ts');
  if (!existsSync(main)) throw new UserError(`${main} does not exist; \`main\` in ${path} says where the Worker is`);
  return {
    file: path,
    directory: dirname(path),
    name: section.name ?? document.name ?? 'worker',
    main,
    compatibilityDate: section.compatibility_date ?? document.compatibility_date ?? '2025-11-09',
    compatibilityFlags: section.compatibility_flags ?? document.compatibility_flags ?? [],
    variables: { ...section.vars, ...secrets(dirname(path), environment) },
    buckets: (section.r2_buckets ?? []).map(({ binding, bucket_name: name }) => ({
      binding,
      bucket: name ?? binding.toLowerCase().replaceAll('_', '-'),
    })),
    namespaces: (section.kv_namespaces ?? []).map(({ binding }) => binding),
    durableObjects: (section.durable_objects?.bindings ?? []).map((object) => ({ name: object.name, class: object.class_name })),
    containers: (section.containers ?? document.containers ?? []).flatMap(({ class_name: name }) => name ?? []),
  };
}

function findFile(directory: string): string {
  const found = FILES.map((name) => join(directory, name)).find((path) => existsSync(path));
  if (found === undefined) throw new UserError(`${directory} has no ${FILES.join(', ')}: run this in a Worker's project`);
  return found;
}

function parseFile(path: string): Section & { env?: Record<string, Section> } {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new UserError(`${path} cannot be read: ${(error as Error).message}`);
  }
  if (path.endsWith('.toml')) {
    try {
      return parseToml(text) as Section;
    } catch (error) {
      throw new UserError(`${path}: ${(error as Error).message}`);
    }
  }
  const errors: ParseError[] = [];
  const document: unknown = parseJsonc(text, errors, { allowTrailingComma: true });
  const [error] = errors;
  if (error !== undefined) {
    const line = text.slice(0, error.offset).split('\n').length;
    throw new UserError(`${path}:${line}: ${printParseErrorCode(error.error)}`);
  }
  if (typeof document !== 'object' || document === null) throw new UserError(`${path}: an object is expected`);
  return document;
}

/** `.dev.vars.NAME` takes the place of `.dev.vars` where it exists. */
function secrets(directory: string, environment: string | undefined): Record<string, string> {
  const names = [...(environment === undefined ? [] : [`.dev.vars.${environment}`]), '.dev.vars'];
  const path = names.map((name) => join(directory, name)).find((candidate) => existsSync(candidate));
  if (path === undefined) return {};
  return Object.fromEntries(readFileSync(path, 'utf8').split('\n').flatMap(assignment));
}

/** `NAME=value`, `NAME="value"`, `export NAME='value'`. */
function assignment(line: string): [string, string][] {
  const match = /^\s*(?:export\s+)?([^#=\s][^=]*?)\s*=\s*(.*?)\s*$/.exec(line);
  if (match === null) return [];
  const [, name = '', value = ''] = match;
  return [[name, /^(["'])(.*)\1$/.exec(value)?.[2] ?? value]];
}
