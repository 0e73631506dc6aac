// Runs in workerd: a bucket binding as Workers know it, over S3 requests that `env.store` signs and sends on.
// https://developers.cloudflare.com/r2/api/workers/workers-api-reference/

const HTTP_METADATA = {
  contentType: 'content-type',
  contentLanguage: 'content-language',
  contentDisposition: 'content-disposition',
  contentEncoding: 'content-encoding',
  cacheControl: 'cache-control',
};

class BucketObject {
  constructor(key, headers, size) {
    this.key = key;
    this.httpEtag = headers.get('etag') ?? '""';
    this.etag = this.httpEtag.replaceAll('"', '');
    this.version = this.etag;
    this.size = size;
    this.uploaded = new Date(headers.get('last-modified') ?? 0);
    this.storageClass = 'Standard';
    this.checksums = { toJSON: () => ({}) };
    this.httpMetadata = {};
    for (const [name, header] of Object.entries(HTTP_METADATA)) {
      const value = headers.get(header);
      if (value !== null) this.httpMetadata[name] = value;
    }
    const expires = headers.get('expires');
    if (expires !== null) this.httpMetadata.cacheExpiry = new Date(expires);
    this.customMetadata = {};
    for (const [name, value] of headers) {
      if (name.startsWith('x-amz-meta-')) this.customMetadata[name.slice('x-amz-meta-'.length)] = decoded(value);
    }
  }

  writeHttpMetadata(headers) {
    for (const [name, header] of Object.entries(HTTP_METADATA)) {
      if (this.httpMetadata[name] !== undefined) headers.set(header, this.httpMetadata[name]);
    }
    if (this.httpMetadata.cacheExpiry) headers.set('expires', this.httpMetadata.cacheExpiry.toUTCString());
  }
}

class BucketObjectBody extends BucketObject {
  #response;

  constructor(key, response, size) {
    super(key, response.headers, size);
    this.#response = response;
  }

  get body() {
    return this.#response.body;
  }

  get bodyUsed() {
    return this.#response.bodyUsed;
  }

  arrayBuffer() {
    return this.#response.arrayBuffer();
  }

  async bytes() {
    return new Uint8Array(await this.arrayBuffer());
  }

  text() {
    return this.#response.text();
  }

  json() {
    return this.#response.json();
  }

  async blob() {
    return new Blob([await this.arrayBuffer()], { type: this.httpMetadata.contentType });
  }
}

class Bucket {
  #store;

  constructor(store) {
    this.#store = store;
  }

  async head(key) {
    const response = await this.#call('head', 'HEAD', key);
    return response === null ? null : new BucketObject(key, response.headers, Number(response.headers.get('content-length')));
  }

  async get(key, options = {}) {
    const headers = conditions(options.onlyIf);
    const range = rangeHeader(options.range);
    if (range !== undefined) headers.set('range', range);
    const response = await this.#call('get', 'GET', key, { headers, misses: [304, 412] });
    if (response === null) return null;
    // The object is there, but not as the condition wants it: without a body.
    if (response.status === 304 || response.status === 412) return this.head(key);
    const whole = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(response.headers.get('content-range') ?? '');
    const object = new BucketObjectBody(key, response, Number(whole?.[3] ?? response.headers.get('content-length')));
    if (whole) object.range = { offset: Number(whole[1]), length: Number(whole[2]) - Number(whole[1]) + 1 };
    return object;
  }

  async put(key, value, options = {}) {
    const headers = writeHeaders(options);
    conditions(options.onlyIf).forEach((text, name) => headers.set(name, text));
    const body = await bytesOf(value);
    const response = await this.#call('put', 'PUT', key, { headers, body, misses: [412] });
    return response.status === 412 ? null : this.head(key);
  }

  async delete(keys) {
    for (const key of Array.isArray(keys) ? keys : [keys]) await this.#call('delete', 'DELETE', key);
  }

  async list(options = {}) {
    const limit = Math.min(options.limit ?? 1000, 1000);
    const query = new URLSearchParams({ 'list-type': '2', 'max-keys': String(limit), 'encoding-type': 'url' });
    if (options.prefix) query.set('prefix', options.prefix);
    if (options.delimiter) query.set('delimiter', options.delimiter);
    if (options.cursor) query.set('continuation-token', options.cursor);
    if (options.startAfter) query.set('start-after', options.startAfter);
    const xml = await (await this.#call('list', 'GET', '', { query })).text();
    const objects = elements(xml, 'Contents').map((entry) => {
      const headers = new Headers({ etag: unescaped(element(entry, 'ETag')), 'last-modified': element(entry, 'LastModified') });
      return new BucketObject(keyOf(element(entry, 'Key')), headers, Number(element(entry, 'Size')));
    });
    const wanted = options.include?.length > 0;
    const truncated = element(xml, 'IsTruncated') === 'true';
    return {
      // What a listing does not carry is asked for one by one.
      objects: wanted ? (await Promise.all(objects.map(({ key }) => this.head(key)))).filter((object) => object) : objects,
      truncated,
      ...(truncated && { cursor: unescaped(element(xml, 'NextContinuationToken')) }),
      delimitedPrefixes: elements(xml, 'CommonPrefixes').map((entry) => keyOf(element(entry, 'Prefix'))),
    };
  }

  async createMultipartUpload(key, options = {}) {
    const query = new URLSearchParams({ uploads: '' });
    const response = await this.#call('createMultipartUpload', 'POST', key, { query, headers: writeHeaders(options) });
    return this.resumeMultipartUpload(key, unescaped(element(await response.text(), 'UploadId')));
  }

  resumeMultipartUpload(key, uploadId) {
    const call = (action, method, query, rest) =>
      this.#call(action, method, key, { query: new URLSearchParams({ ...query, uploadId }), ...rest });
    return {
      key,
      uploadId,
      uploadPart: async (partNumber, value) => {
        const body = await bytesOf(value);
        const response = await call('uploadPart', 'PUT', { partNumber: String(partNumber) }, { body });
        return { partNumber, etag: response.headers.get('etag').replaceAll('"', '') };
      },
      abort: async () => {
        await call('abortMultipartUpload', 'DELETE', {});
      },
      complete: async (parts) => {
        const list = parts.map((part) => `<Part><PartNumber>${Number(part.partNumber)}</PartNumber><ETag>${escaped(part.etag)}</ETag></Part>`);
        const body = `<CompleteMultipartUpload>${list.join('')}</CompleteMultipartUpload>`;
        await call('completeMultipartUpload', 'POST', {}, { body });
        return this.head(key);
      },
    };
  }

  /** Null: there is no such object. */
  async #call(action, method, key, { query, headers, body, misses = [] } = {}) {
    const path = key.split('/').map(encodeURIComponent).join('/');
    const search = query ? `?${query}` : '';
    const response = await this.#store.fetch(`http://store/${path}${search}`, { method, headers, body });
    if (response.ok || misses.includes(response.status)) return response;
    if (response.status === 404 && (method === 'GET' || method === 'HEAD') && key !== '') return null;
    const reason = unescaped(element(await response.text(), 'Message')) || `the store answered ${response.status}`;
    throw new Error(`${action}: ${reason}`);
  }
}

function conditions(onlyIf) {
  if (onlyIf instanceof Headers) return new Headers([...onlyIf].filter(([name]) => name.startsWith('if-')));
  const headers = new Headers();
  const quoted = (etag) => (etag === '*' ? etag : `"${etag.replaceAll('"', '')}"`);
  if (onlyIf?.etagMatches) headers.set('if-match', quoted(onlyIf.etagMatches));
  if (onlyIf?.etagDoesNotMatch) headers.set('if-none-match', quoted(onlyIf.etagDoesNotMatch));
  if (onlyIf?.uploadedBefore) headers.set('if-unmodified-since', new Date(onlyIf.uploadedBefore).toUTCString());
  if (onlyIf?.uploadedAfter) headers.set('if-modified-since', new Date(onlyIf.uploadedAfter).toUTCString());
  return headers;
}

function rangeHeader(range) {
  if (range instanceof Headers) return range.get('range') ?? undefined;
  if (range?.suffix !== undefined) return `bytes=-${range.suffix}`;
  if (range?.offset === undefined && range?.length === undefined) return undefined;
  const start = range.offset ?? 0;
  return `bytes=${start}-${range.length === undefined ? '' : start + range.length - 1}`;
}

function writeHeaders({ httpMetadata, customMetadata }) {
  const headers = new Headers();
  if (httpMetadata instanceof Headers) {
    for (const header of [...Object.values(HTTP_METADATA), 'expires']) {
      const value = httpMetadata.get(header);
      if (value !== null) headers.set(header, value);
    }
  } else {
    for (const [name, header] of Object.entries(HTTP_METADATA)) {
      if (httpMetadata?.[name] !== undefined) headers.set(header, httpMetadata[name]);
    }
    if (httpMetadata?.cacheExpiry) headers.set('expires', new Date(httpMetadata.cacheExpiry).toUTCString());
  }
  for (const [name, value] of Object.entries(customMetadata ?? {})) headers.set(`x-amz-meta-${name}`, encoded(value));
  return headers;
}

/** Headers carry ASCII: what is more goes as an encoded word (RFC 2047), as S3 itself answers it. */
function encoded(text) {
  if (/^[\x20-\x7e]*$/.test(text)) return text;
  return `=?UTF-8?B?${btoa(String.fromCharCode(...new TextEncoder().encode(text)))}?=`;
}

function decoded(text) {
  const word = /^=\?UTF-8\?B\?([A-Za-z0-9+/=]*)\?=$/i.exec(text);
  return word ? new TextDecoder().decode(Uint8Array.from(atob(word[1]), (letter) => letter.charCodeAt(0))) : text;
}

async function bytesOf(value) {
  if (value === null || value === undefined) return new Uint8Array();
  return new Response(value).arrayBuffer();
}

function elements(xml, name) {
  return [...xml.matchAll(new RegExp(`<${name}>(.*?)</${name}>`, 'gs'))].map(([, content]) => content);
}

function element(xml, name) {
  return elements(xml, name)[0] ?? '';
}

const ENTITIES = { lt: '<', gt: '>', quot: '"', apos: "'", amp: '&' };

function unescaped(text) {
  return text.replace(/&(?:#x([0-9a-f]+)|#(\d+)|(\w+));/gi, (all, hex, decimal, name) =>
    name ? (ENTITIES[name] ?? all) : String.fromCodePoint(hex ? parseInt(hex, 16) : Number(decimal)));
}

function escaped(text) {
  return text.replace(/[<>&"']/g, (letter) => `&#${letter.charCodeAt(0)};`);
}

/** Keys in listings are URL-encoded, because XML cannot hold all of them. */
function keyOf(text) {
  return decodeURIComponent(unescaped(text).replaceAll('+', ' '));
}

export default (env) => new Bucket(env.store);
