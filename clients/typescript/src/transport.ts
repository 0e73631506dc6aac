import type { Server } from './configuration.js';
import { type ErrorResponse, type SandboxError, errorFrom, localError } from './errors.js';

/** A request to the server. */
export interface Call {
  readonly method: 'GET' | 'PUT' | 'POST' | 'DELETE';
  /** From the root, without the query. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string | boolean | undefined>>;
  /** Sent as JSON. */
  readonly json?: unknown;
  /** Sent as it is. */
  readonly body?: Uint8Array | ReadableStream<Uint8Array>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
  /** The same call twice does the same as once. */
  readonly idempotent?: boolean;
  /** It is what every other call waits for. */
  readonly isSetup?: boolean;
}

const ATTEMPTS = 4;
const FIRST_PAUSE_MS = 200;

/** Speaks HTTP with one server. Connections are those that `fetch` keeps alive. */
export class Transport {
  /** `setUp` is awaited before every call but those that it makes itself. */
  constructor(
    private readonly server: Server,
    private readonly setUp: () => Promise<void>,
  ) {}

  /** The server's address, without a slash at the end. */
  get url(): string {
    return this.server.url;
  }

  /** The answer's body as JSON. */
  async json<T>(call: Call): Promise<T> {
    const response = await this.send(call);
    if (response.status === 204) return undefined as T;
    return (await response.json()) as T;
  }

  /** The answer's body as it arrives. */
  async stream(call: Call): Promise<ReadableStream<Uint8Array>> {
    const response = await this.send(call);
    return response.body ?? new ReadableStream({ start: (controller) => controller.close() });
  }

  /** The answer, if the server did not refuse. */
  async send(call: Call): Promise<Response> {
    if (!call.isSetup && call.method !== 'DELETE') await this.setUp();
    for (let attempt = 1; ; attempt++) {
      const outcome = await this.attempt(call);
      if (outcome instanceof Response) return outcome;
      if (attempt >= ATTEMPTS || !mayRetry(call, outcome)) throw outcome;
      await pause(FIRST_PAUSE_MS * 2 ** (attempt - 1) * (0.5 + Math.random()), call.signal);
    }
  }

  private async attempt(call: Call): Promise<Response | SandboxError> {
    const url = new URL(this.server.url + call.path);
    for (const [name, value] of Object.entries(call.query ?? {})) {
      if (value !== undefined) url.searchParams.set(name, String(value));
    }
    let response: Response;
    try {
      response = await this.server.fetch(url.href, this.init(call));
    } catch (cause) {
      call.signal?.throwIfAborted();
      const message = `no server answers at ${this.server.url}; is \`sandkeep serve\` running?`;
      return localError('CONNECTION_ERROR', message, 0, {}, { cause });
    }
    return response.ok ? response : await refusal(response);
  }

  private init(call: Call): RequestInit {
    const headers = new Headers(call.headers);
    if (this.server.apiKey !== undefined) headers.set('authorization', `Bearer ${this.server.apiKey}`);
    if (call.json !== undefined) headers.set('content-type', 'application/json');
    const body = call.json !== undefined ? JSON.stringify(call.json) : call.body;
    return {
      method: call.method,
      headers,
      ...(body !== undefined && { body: body as BodyInit }),
      // Node asks for it where a body is a stream.
      ...(body instanceof ReadableStream && { duplex: 'half' }),
      ...(call.signal && { signal: call.signal }),
    };
  }
}

/** Only what cannot have been done, or may be done twice. */
function mayRetry(call: Call, error: SandboxError): boolean {
  if (call.body instanceof ReadableStream) return false;
  // Said by the server itself, before it has begun; the same status from something between may come after.
  if (error.code === 'CONTAINER_UNAVAILABLE') return true;
  const isTransient = error.code === 'CONNECTION_ERROR' || [429, 502, 503, 504].includes(error.httpStatus);
  return isTransient && (call.idempotent ?? call.method === 'GET');
}

function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', abort);
      resolve();
    }, milliseconds);
    signal?.addEventListener('abort', abort, { once: true });
  });
}

async function refusal(response: Response): Promise<SandboxError> {
  const text = await response.text().catch(() => '');
  try {
    const body = JSON.parse(text) as Partial<ErrorResponse>;
    if (typeof body.code === 'string' && typeof body.message === 'string') {
      const defaults = { context: {}, httpStatus: response.status, timestamp: new Date().toISOString() };
      return errorFrom({ ...defaults, ...body } as ErrorResponse);
    }
  } catch {
    // Not ours: something between us and the server answered.
  }
  const message = `the server answered ${response.status}: ${text.slice(0, 200) || response.statusText}`;
  return localError('INTERNAL_ERROR', message, response.status);
}
