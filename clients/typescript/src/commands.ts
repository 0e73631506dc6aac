import { parseSSEStream } from './events.js';
import { localError } from './errors.js';
import type { Transport } from './transport.js';
import type { BaseExecOptions, ExecEvent, ExecOptions, ExecResult, StreamOptions, Variables } from './types.js';

/** Which sandbox and session a command runs in. */
export interface Target {
  readonly transport: Transport;
  /** `/v1/sandboxes/ID`. */
  readonly path: string;
  /** None: the default session; null: a fresh shell. */
  readonly sessionId: string | null | undefined;
}

/** Runs a command to its end. */
export async function exec(target: Target, command: string, options: ExecOptions): Promise<ExecResult> {
  try {
    const { signal } = options;
    if (signal?.aborted) throw aborted(signal);
    const watches = options.stream === true || options.onOutput !== undefined;
    const run = watches ? streamed(target, command, options) : whole(target, command, options);
    const result = await run.catch((error: unknown) => {
      throw signal?.aborted ? aborted(signal) : error;
    });
    options.onComplete?.(result);
    return result;
  } catch (error) {
    options.onError?.(error as Error);
    throw error;
  }
}

/** Runs a command; its events come as server-sent events. */
export function execStream(
  target: Target,
  command: string,
  options: StreamOptions,
): Promise<ReadableStream<Uint8Array>> {
  const sessionId = options.sessionId ?? target.sessionId;
  const json = { ...request(command, options, options.args, sessionId), stream: true };
  return target.transport.stream({ method: 'POST', path: `${target.path}/exec`, json, signal: options.signal });
}

function whole(target: Target, command: string, options: ExecOptions): Promise<ExecResult> {
  const json = { ...request(command, options, options.args, target.sessionId), s3Env: options.s3Env };
  return target.transport.json({ method: 'POST', path: `${target.path}/exec`, json, signal: options.signal });
}

async function streamed(target: Target, command: string, options: ExecOptions): Promise<ExecResult> {
  const started = new Date();
  const { onOutput, signal } = options;
  const output = { stdout: '', stderr: '' };
  const about = { command: [command, ...(options.args ?? [])].join(' '), timestamp: started.toISOString() };
  const json = { ...request(command, options, options.args, target.sessionId), s3Env: options.s3Env, stream: true };
  const call = { method: 'POST', path: `${target.path}/exec`, json, signal } as const;
  for await (const event of parseSSEStream<ExecEvent>(await target.transport.stream(call), signal)) {
    if (event.type === 'stdout' || event.type === 'stderr') {
      output[event.type] += event.data ?? '';
      onOutput?.(event.type, event.data ?? '');
    } else if (event.type === 'complete') {
      const exitCode = event.exitCode ?? -1;
      const duration = event.duration ?? Date.now() - started.getTime();
      const session = typeof target.sessionId === 'string' ? { sessionId: target.sessionId } : {};
      return { success: exitCode === 0, exitCode, ...output, ...about, duration, ...session };
    } else if (event.type === 'error') {
      throw localError(event.code ?? 'COMMAND_EXECUTION_ERROR', event.error ?? 'the command failed', 500);
    }
  }
  throw localError('CONNECTION_ERROR', 'the connection broke while the command ran', 0);
}

function request(
  command: string,
  options: BaseExecOptions,
  args: readonly string[] | undefined,
  sessionId: string | null | undefined,
): Record<string, unknown> {
  const { cwd, timeout, encoding } = options;
  return { command, args, cwd, timeout, encoding, sessionId, env: variables(options.env) };
}

/** As the server takes them: undefined is null. */
export function variables(env: Variables | undefined): Record<string, string | null> | undefined {
  if (env === undefined) return undefined;
  return Object.fromEntries(Object.entries(env).map(([name, value]) => [name, value ?? null]));
}

function aborted(signal: AbortSignal): Error {
  return new Error('Operation was aborted', { cause: signal.reason });
}
