import { parseSSEStream } from './events.js';
import { localError } from './errors.js';
import type { FileChunk, FileMetadata, FileStreamEvent } from './types.js';

/** What the server says of a file: a character set tells that it is text. */
export function media(contentType: string | null): { mimeType: string; isText: boolean } {
  const [mimeType = '', ...parameters] = (contentType ?? '').split(';').map((part) => part.trim());
  const isText = parameters.some((parameter) => parameter.startsWith('charset='));
  return { mimeType: mimeType || 'application/octet-stream', isText };
}

/** Bytes as base64. */
export function toBase64(bytes: Uint8Array): string {
  const pieces: string[] = [];
  // A multiple of 3, so that pieces can be joined; small enough for an argument list.
  const step = 3 << 13;
  for (let start = 0; start < bytes.length; start += step) {
    pieces.push(btoa(String.fromCharCode(...bytes.subarray(start, start + step))));
  }
  return pieces.join('');
}

/** Base64 as bytes. */
export function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let index = 0; index < binary.length; index++) bytes[index] = binary.charCodeAt(index);
  return bytes;
}

/**
 * What to send for the content of `writeFile`.
 *
 * @throws ValidationFailedError if it is not base64 although `encoding` says so.
 */
export function contentToSend(
  content: string | Uint8Array | ArrayBuffer | ReadableStream<Uint8Array>,
  encoding: string | undefined,
): Uint8Array | ReadableStream<Uint8Array> {
  if (content instanceof ReadableStream || content instanceof Uint8Array) return content;
  if (content instanceof ArrayBuffer) return new Uint8Array(content);
  if (encoding !== 'base64') return new TextEncoder().encode(content);
  if (!/^[A-Za-z0-9+/=]*$/.test(content)) {
    throw localError('VALIDATION_FAILED', 'content is not base64: only A-Z a-z 0-9 + / = may be in it', 400);
  }
  return fromBase64(content);
}

/**
 * The pieces of a file: text, or bytes if it is binary. What the generator returns at its end is {@link FileMetadata}.
 *
 * @example
 * ```ts
 * for await (const chunk of streamFile(await sandbox.readFileStream('/workspace/photo.png'))) {
 *   if (chunk instanceof Uint8Array) total += chunk.length;
 * }
 * ```
 */
export async function* streamFile(stream: ReadableStream<Uint8Array>): AsyncGenerator<FileChunk, FileMetadata> {
  let metadata: FileMetadata | undefined;
  for await (const event of parseSSEStream<FileStreamEvent>(stream)) {
    if (event.type === 'error') throw localError('FILESYSTEM_ERROR', event.error, 500);
    if (event.type === 'metadata') {
      const { mimeType, size, isBinary, encoding } = event;
      metadata = { mimeType, size, isBinary, encoding };
    } else if (metadata === undefined) {
      break;
    } else if (event.type === 'complete') {
      return metadata;
    } else {
      yield metadata.encoding === 'base64' ? fromBase64(event.data) : event.data;
    }
  }
  throw localError('CONNECTION_ERROR', 'the file came only in part', 0);
}

/** A whole file from `readFileStream`, in memory. */
export async function collectFile(
  stream: ReadableStream<Uint8Array>,
): Promise<{ content: string | Uint8Array; metadata: FileMetadata }> {
  const chunks: FileChunk[] = [];
  const pieces = streamFile(stream);
  for (;;) {
    const { done, value } = await pieces.next();
    if (done) return { content: joined(chunks, value.encoding === 'base64'), metadata: value };
    chunks.push(value);
  }
}

function joined(chunks: FileChunk[], isBinary: boolean): string | Uint8Array {
  if (!isBinary) return chunks.join('');
  const parts = chunks.filter((chunk) => chunk instanceof Uint8Array);
  const bytes = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let end = 0;
  for (const part of parts) {
    bytes.set(part, end);
    end += part.length;
  }
  return bytes;
}
