/** Where a server is and how to speak to it. */
export interface ServerOptions {
  /** Such as `http://127.0.0.1:8787`. */
  url?: string;
  /** Bearer key. */
  apiKey?: string;
  /** Instead of the global `fetch`, for example with an agent of its own. */
  fetch?: typeof fetch;
}

/** A server that was found. */
export interface Server {
  readonly url: string;
  readonly apiKey: string | undefined;
  readonly fetch: typeof fetch;
}

/** Where a sandbox lives: a URL, options, a Worker's binding (whose content does not matter), or nothing. */
export type Place = string | URL | ServerOptions | object | null | undefined;

const DEFAULT_URL = 'http://127.0.0.1:8787';

/** What a Worker's `env` holds. */
let workerEnvironment: Readonly<Record<string, unknown>> = {};

/**
 * Tells the client what a Worker's `env` holds: settings (`SANDKEEP_URL`, `SANDKEEP_API_KEY` or `SANDBOX_API_KEY`) and
 * the secrets that mounts may need. Not needed where `process.env` has them. Call it at the start of `fetch(request, env)`.
 */
export function useEnvironment(environment: object): void {
  workerEnvironment = environment as Record<string, unknown>;
}

/** A variable of the Worker or of the process. */
function variable(name: string): string | undefined {
  const found = workerEnvironment[name];
  if (typeof found === 'string' && found !== '') return found;
  const { process } = globalThis as { process?: { env?: Record<string, string | undefined> } };
  return process?.env?.[name] || undefined;
}

/** The server that a place means; what it does not say comes from the environment. */
export function findServer(place: Place): Server {
  const options = serverOptions(place);
  const url = options.url ?? variable('SANDKEEP_URL') ?? DEFAULT_URL;
  return {
    url: checkedUrl(url),
    apiKey: options.apiKey ?? variable('SANDKEEP_API_KEY') ?? variable('SANDBOX_API_KEY'),
    fetch: options.fetch ?? ((input, init) => globalThis.fetch(input, init)),
  };
}

function serverOptions(place: Place): ServerOptions {
  if (typeof place === 'string') return { url: place };
  if (place instanceof URL) return { url: place.href };
  if (place === null || place === undefined) return {};
  const { url, apiKey, fetch } = place as ServerOptions;
  // A Durable Object namespace has none of these as what they are here.
  return {
    ...(typeof url === 'string' && { url }),
    ...(typeof apiKey === 'string' && { apiKey }),
    ...(typeof url === 'string' && typeof fetch === 'function' && { fetch }),
  };
}

function checkedUrl(text: string): string {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw new TypeError(`"${text}" is not the address of a Sandkeep server; http://HOST:PORT is`);
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw new TypeError(`"${text}" is not the address of a Sandkeep server: it must start with http:// or https://`);
  }
  return url.href.replace(/\/+$/, '');
}

/** Secrets that the server looks for when an endpoint is mounted without credentials. */
const MOUNT_VARIABLES = [
  'AWS_ACCESS_KEY_ID',
  'AWS_SECRET_ACCESS_KEY',
  'AWS_SESSION_TOKEN',
  'R2_ACCESS_KEY_ID',
  'R2_SECRET_ACCESS_KEY',
] as const;

/** Those of them that this side has; they travel only with a mount that needs them. */
export function mountVariables(): Record<string, string> {
  const found = MOUNT_VARIABLES.map((name) => [name, variable(name)] as const);
  return Object.fromEntries(found.filter((pair): pair is [typeof pair[0], string] => pair[1] !== undefined));
}
