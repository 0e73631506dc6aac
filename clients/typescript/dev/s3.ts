// Requests of a Worker's bucket bindings, signed and sent on to the store. The keys stay here.
import { createHash, createHmac } from 'node:crypto';

/** A bucket of a store. */
export interface Store {
  readonly endpoint: string;
  readonly region: string;
  readonly bucket: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

/** Headers that matter to the store. */
const FORWARDED = /^(cache-control|content-(disposition|encoding|language|length|md5|type)|expires|if-.*|range|x-amz-(?!date|content-sha256).*)$/;

/** Sends on a request for `http://store/KEY?QUERY`. */
export async function forward(store: Store, request: Request, fetcher: typeof fetch = fetch): Promise<Response> {
  const asked = new URL(request.url);
  const url = new URL(store.endpoint);
  url.pathname = `/${store.bucket}${asked.pathname}`;
  url.search = asked.search;
  const headers = new Headers();
  request.headers.forEach((value, name) => {
    if (FORWARDED.test(name) && name !== 'content-length') headers.set(name, value);
  });
  const hasBody = request.method === 'PUT' || request.method === 'POST';
  const body = hasBody ? await request.arrayBuffer() : undefined;
  sign(store, request.method, url, headers, new Date());
  return fetcher(url, { method: request.method, headers, ...(body && { body }) });
}

/** Signature version 4, by header, over an unsigned payload. */
export function sign(store: Store, method: string, url: URL, headers: Headers, now: Date): void {
  const time = now.toISOString().replace(/[:-]|\.\d{3}/g, '');
  const date = time.slice(0, 8);
  headers.set('x-amz-date', time);
  headers.set('x-amz-content-sha256', 'UNSIGNED-PAYLOAD');
  const signed: [string, string][] = [['host', url.host], ...headers.entries()];
  const lines = signed.map(([name, value]) => [name.toLowerCase(), value.trim().replace(/ +/g, ' ')] as const);
  lines.sort(([one], [other]) => (one < other ? -1 : 1));
  const names = lines.map(([name]) => name).join(';');
  const query = [...url.searchParams].map(([name, value]) => `${encode(name)}=${encode(value)}`).sort().join('&');
  const path = url.pathname.split('/').map((segment) => encode(decodeURIComponent(segment))).join('/');
  const canonical = [method, path, query, ...lines.map(([name, value]) => `${name}:${value}`), '', names, 'UNSIGNED-PAYLOAD'];
  const scope = `${date}/${store.region}/s3/aws4_request`;
  const digest = createHash('sha256').update(canonical.join('\n')).digest('hex');
  const hmac = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text).digest();
  const key = ['s3', 'aws4_request'].reduce(hmac, hmac(hmac(`AWS4${store.secretAccessKey}`, date), store.region));
  const signature = hmac(key, ['AWS4-HMAC-SHA256', time, scope, digest].join('\n')).toString('hex');
  const credential = `${store.accessKeyId}/${scope}`;
  headers.set('authorization', `AWS4-HMAC-SHA256 Credential=${credential}, SignedHeaders=${names}, Signature=${signature}`);
}

function encode(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (letter) => `%${letter.charCodeAt(0).toString(16).toUpperCase()}`);
}
