// `fetch` and `node-fetch` (version 2 and 3 alike): requests that a hook sends by itself.
(function (exports, require, module, native, host) {
  'use strict';
  const { Buffer } = require('buffer');
  const { EventTarget, Event } = require('events');
  const waiting = new Map();
  let last = 0;

  class Headers {
    #map = new Map();
    constructor(init) {
      if (!init) return;
      const pairs = init instanceof Headers || typeof init[Symbol.iterator] === 'function' ? [...init] : Object.entries(init);
      for (const [name, value] of pairs) for (const one of [value].flat()) this.append(name, one);
    }
    append(name, value) {
      const key = this.#key(name);
      this.#map.set(key, [...(this.#map.get(key) || []), String(value).trim()]);
    }
    set(name, value) { this.#map.set(this.#key(name), [String(value).trim()]); }
    get(name) { const found = this.#map.get(this.#key(name)); return found ? found.join(', ') : null; }
    has(name) { return this.#map.has(this.#key(name)); }
    delete(name) { this.#map.delete(this.#key(name)); }
    #key(name) {
      const key = String(name).toLowerCase();
      if (!/^[!#$%&'*+.^_`|~0-9a-z-]+$/.test(key)) throw new TypeError(`Header name must be a valid HTTP token ["${name}"]`);
      return key;
    }
    raw() { return Object.fromEntries(this.#map); }
    getSetCookie() { return this.#map.get('set-cookie') || []; }
    forEach(each, self) { for (const [name, value] of this) each.call(self, value, name, this); }
    *entries() { for (const name of [...this.#map.keys()].sort()) yield [name, this.get(name)]; }
    *keys() { for (const [name] of this) yield name; }
    *values() { for (const [, value] of this) yield value; }
    [Symbol.iterator]() { return this.entries(); }
    [Symbol.for('nodejs.util.inspect.custom')](_, __, inspect) { return `Headers ${inspect(Object.fromEntries(this))}`; }
  }

  // A body as bytes, with the type that it says of itself.
  function bytesOf(body) {
    if (body === undefined || body === null) return [undefined, undefined];
    if (body instanceof URLSearchParams) return [Buffer.from(String(body)), 'application/x-www-form-urlencoded;charset=UTF-8'];
    if (body instanceof ArrayBuffer) return [Buffer.from(body), undefined];
    if (ArrayBuffer.isView(body)) return [Buffer.from(new Uint8Array(body.buffer, body.byteOffset, body.byteLength)), undefined];
    return [Buffer.from(String(body)), 'text/plain;charset=UTF-8'];
  }
  class Body {
    #bytes;
    constructor(bytes) {
      this.#bytes = bytes || Buffer.alloc(0);
      this.bodyUsed = false;
    }
    async #take() {
      if (this.bodyUsed) throw new TypeError('Body is unusable: Body has already been read');
      this.bodyUsed = true;
      return this.#bytes;
    }
    async text() { return (await this.#take()).toString('utf8').replace(/^\uFEFF/, ''); }
    async json() {
      const text = await this.text();
      try {
        return JSON.parse(text);
      } catch (error) {
        throw new SyntaxError(`the body of ${this.url || 'the answer'} is no JSON: ${error.message}`);
      }
    }
    async arrayBuffer() { const bytes = await this.#take(); return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength); }
    async bytes() { return new Uint8Array(await this.arrayBuffer()); }
    async buffer() { return Buffer.from(await this.#take()); }
    peek() { return this.#bytes; }
  }
  class Response extends Body {
    constructor(body, init = {}) {
      super(bytesOf(body)[0]);
      this.status = init.status === undefined ? 200 : init.status;
      this.statusText = init.statusText || '';
      this.headers = new Headers(init.headers);
      this.url = init.url || '';
      this.redirected = Boolean(init.redirected);
      this.type = 'basic';
    }
    get ok() { return this.status >= 200 && this.status < 300; }
    clone() { return new Response(this.peek(), this); }
    static json(value, init = {}) { return new Response(JSON.stringify(value), { ...init, headers: { 'content-type': 'application/json', ...init.headers } }); }
    static error() { return new Response(null, { status: 0 }); }
  }
  class Request extends Body {
    constructor(input, init = {}) {
      const from = input instanceof Request ? input : undefined;
      const [bytes, type] = init.body === undefined && from ? [from.peek(), undefined] : bytesOf(init.body);
      super(bytes);
      this.url = from ? from.url : new URL(String(input)).href;
      this.method = String(init.method || (from && from.method) || 'GET').toUpperCase();
      this.headers = new Headers(init.headers || (from && from.headers));
      if (type && !this.headers.has('content-type')) this.headers.set('content-type', type);
      this.redirect = init.redirect || (from && from.redirect) || 'follow';
      this.signal = init.signal || (from && from.signal);
      if (bytes && bytes.length && (this.method === 'GET' || this.method === 'HEAD')) throw new TypeError('Request with GET/HEAD method cannot have body');
    }
    clone() { return new Request(this); }
  }

  class AbortSignal extends EventTarget {
    aborted = false;
    reason = undefined;
    throwIfAborted() { if (this.aborted) throw this.reason; }
    static abort(reason) { const controller = new AbortController(); controller.abort(reason); return controller.signal; }
    static timeout(delay) {
      const controller = new AbortController();
      const error = Object.assign(new Error('The operation was aborted due to timeout'), { name: 'TimeoutError', code: 23 });
      setTimeout(() => controller.abort(error), delay);
      return controller.signal;
    }
  }
  class AbortController {
    signal = new AbortSignal();
    abort(reason = Object.assign(new Error('This operation was aborted'), { name: 'AbortError', code: 'ABORT_ERR' })) {
      if (this.signal.aborted) return;
      this.signal.aborted = true;
      this.signal.reason = reason;
      const event = new Event('abort');
      if (typeof this.signal.onabort === 'function') this.signal.onabort(event);
      this.signal.dispatchEvent(event);
    }
  }

  class FetchError extends Error {
    constructor(message, code) {
      super(message);
      this.name = 'FetchError';
      this.type = 'system';
      this.code = this.errno = code;
    }
  }
  async function fetch(input, init = {}) {
    const request = new Request(input, init);
    const { signal } = request;
    if (signal) signal.throwIfAborted();
    const number = (last += 1);
    const wanted = { url: request.url, method: request.method, headers: [...request.headers], redirect: request.redirect };
    const bytes = request.peek();
    const answer = await new Promise((done, fail) => {
      waiting.set(number, { done, fail, call: host.current() });
      if (init.timeout) setTimeout(() => give_up(number, new FetchError(`network timeout at: ${request.url}`, 'ETIMEDOUT')), init.timeout);
      if (signal) signal.addEventListener('abort', () => give_up(number, signal.reason));
      if (!native.fetch(number, JSON.stringify(wanted), bytes.length ? new Uint8Array(bytes) : undefined)) give_up(number, new FetchError('too many requests are under way', 'EAGAIN'));
    });
    return answer;
  }
  function give_up(number, error) {
    const one = waiting.get(number);
    if (!one) return;
    waiting.delete(number);
    native.unfetch(number);
    one.fail(error);
  }
  exports.arrived = (number, head, body) => {
    const one = waiting.get(number);
    if (!one) return;
    waiting.delete(number);
    host.within(one.call, () => {
      if (body === undefined) {
        const [code, message] = JSON.parse(head);
        const error = new FetchError(`fetch failed: ${message}`, code);
        error.cause = { code, message };
        one.fail(error);
      } else {
        one.done(new Response(body, JSON.parse(head)));
      }
    });
  };
  Object.assign(exports, { fetch, Headers, Request, Response, AbortController, AbortSignal, FetchError });
})
