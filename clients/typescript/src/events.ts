import { localError } from './errors.js';

/** An event of a stream of server-sent events. */
export interface ServerSentEvent {
  /** Its type; empty: none was given. */
  readonly event: string;
  /** Its data, lines joined by `\n`. */
  readonly data: string;
}

/** Longest line that is kept, in characters; more is an error of the sender. */
const MAX_LINE = 16 << 20;

/**
 * Reads server-sent events as they arrive. Leaving the loop early cancels the stream.
 * https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
 */
export async function* serverSentEvents(
  stream: ReadableStream<Uint8Array>,
  signal?: AbortSignal,
): AsyncGenerator<ServerSentEvent> {
  let event = '';
  let data: string[] = [];
  for await (const line of lines(stream, signal)) {
    if (line === '') {
      if (data.length > 0) yield { event, data: data.join('\n') };
      [event, data] = ['', []];
      continue;
    }
    const colon = line.indexOf(':');
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'data') data.push(value);
    else if (field === 'event') event = value;
  }
}

async function* lines(stream: ReadableStream<Uint8Array>, signal?: AbortSignal): AsyncGenerator<string> {
  const reader = stream.getReader();
  const decoder = new TextDecoder();
  const abort = () => void reader.cancel(signal?.reason).catch(() => {});
  signal?.addEventListener('abort', abort, { once: true });
  let rest = '';
  let ended = false;
  try {
    signal?.throwIfAborted();
    while (!ended) {
      const { done, value } = await reader.read();
      signal?.throwIfAborted();
      ended = done;
      const parts = (rest + (done ? decoder.decode() : decoder.decode(value, { stream: true }))).split('\n');
      rest = parts.pop() ?? '';
      if (rest.length > MAX_LINE) throw localError('CONNECTION_ERROR', 'an event is longer than 16 MiB', 0);
      for (const line of parts) yield line.endsWith('\r') ? line.slice(0, -1) : line;
    }
  } finally {
    signal?.removeEventListener('abort', abort);
    if (!ended) await reader.cancel().catch(() => {});
  }
}

/**
 * The events of `execStream()`, `streamProcessLogs()` and the like, as objects.
 *
 * @example
 * ```ts
 * for await (const event of parseSSEStream<ExecEvent>(await sandbox.execStream('npm test'))) {
 *   if (event.type === 'stdout') console.log(event.data);
 * }
 * ```
 */
export async function* parseSSEStream<T>(
  stream: ReadableStream<Uint8Array>,
  signal?: AbortSignal,
): AsyncGenerator<T> {
  for await (const { data } of serverSentEvents(stream, signal)) yield JSON.parse(data) as T;
}

/** {@link parseSSEStream} of an answer's body. */
export function responseToAsyncIterable<T>(response: Response, signal?: AbortSignal): AsyncIterable<T> {
  if (!response.ok) throw new Error(`the answer is an error: ${response.status} ${response.statusText}`);
  if (response.body === null) throw new Error('the answer has no body');
  return parseSSEStream<T>(response.body, signal);
}

/** The other way round: objects as a stream of server-sent events, to hand them on. */
export function asyncIterableToSSEStream<T>(
  events: AsyncIterable<T>,
  options: { signal?: AbortSignal; serialize?: (event: T) => string } = {},
): ReadableStream<Uint8Array> {
  const serialize = options.serialize ?? ((event: T) => JSON.stringify(event));
  const iterator = events[Symbol.asyncIterator]();
  const encoder = new TextEncoder();
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      if (options.signal?.aborted) {
        controller.error(options.signal.reason);
        return;
      }
      const { done, value } = await iterator.next();
      if (done) controller.close();
      else controller.enqueue(encoder.encode(serialize(value).replace(/^/gm, 'data: ') + '\n\n'));
    },
    async cancel() {
      await iterator.return?.();
    },
  });
}
