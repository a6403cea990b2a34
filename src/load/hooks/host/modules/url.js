// `url`: addresses as the web has them, and the older way of Node.
(function (exports, require, module, native) {
  'use strict';
  const bad = (text) => Object.assign(new TypeError('Invalid URL'), { code: 'ERR_INVALID_URL', input: text });
  const encode = (text) => encodeURIComponent(text.toWellFormed()).replace(/%20/g, '+').replace(/[!'()~]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`);
  const decode = (text) => native.encode(unescape(text.replace(/\+/g, ' ')), 'utf8');
  // The bytes behind percent signs; what is no such sign stands for itself.
  function unescape(text) {
    const bytes = native.decode(text, 'utf8');
    const out = new Uint8Array(bytes.length);
    let length = 0;
    for (let at = 0; at < bytes.length; at += 1) {
      const digits = bytes[at] === 37 ? String.fromCharCode(bytes[at + 1], bytes[at + 2]) : '';
      if (/^[0-9a-f]{2}$/i.test(digits)) {
        out[length] = parseInt(digits, 16);
        at += 2;
      } else out[length] = bytes[at];
      length += 1;
    }
    return out.subarray(0, length);
  }
  class URLSearchParams {
    #list = [];
    #changed;
    constructor(init = '', changed) {
      this.#changed = changed;
      if (typeof init === 'string') this.#read(init);
      else if (init && typeof init[Symbol.iterator] === 'function') for (const [key, value] of init) this.#list.push([String(key), String(value)]);
      else if (init) for (const key of Object.keys(init)) this.#list.push([key, String(init[key])]);
    }
    #read(text) {
      this.#list = text.replace(/^\?/, '').split('&').filter(Boolean).map((pair) => {
        const at = pair.indexOf('=');
        return at < 0 ? [decode(pair), ''] : [decode(pair.slice(0, at)), decode(pair.slice(at + 1))];
      });
    }
    #write() { if (this.#changed) this.#changed(String(this)); }
    reset(text) { this.#read(text); }
    append(key, value) { this.#list.push([String(key), String(value)]); this.#write(); }
    delete(key, value) { this.#list = this.#list.filter((pair) => pair[0] !== key || (value !== undefined && pair[1] !== value)); this.#write(); }
    get(key) { const found = this.#list.find((pair) => pair[0] === key); return found ? found[1] : null; }
    getAll(key) { return this.#list.filter((pair) => pair[0] === key).map((pair) => pair[1]); }
    has(key, value) { return this.#list.some((pair) => pair[0] === key && (value === undefined || pair[1] === value)); }
    set(key, value) {
      const at = this.#list.findIndex((pair) => pair[0] === key);
      if (at < 0) this.#list.push([String(key), String(value)]);
      else this.#list = this.#list.filter((pair, place) => place <= at || pair[0] !== key).with(at, [String(key), String(value)]);
      this.#write();
    }
    sort() { this.#list.sort((a, b) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0)); this.#write(); }
    forEach(each, self) { for (const [key, value] of this.#list) each.call(self, value, key, this); }
    *keys() { for (const pair of this.#list) yield pair[0]; }
    *values() { for (const pair of this.#list) yield pair[1]; }
    *entries() { for (const pair of this.#list) yield [pair[0], pair[1]]; }
    [Symbol.iterator]() { return this.entries(); }
    get size() { return this.#list.length; }
    toString() { return this.#list.map(([key, value]) => `${encode(key)}=${encode(value)}`).join('&'); }
    [Symbol.for('nodejs.util.inspect.custom')]() { return `URLSearchParams { ${this.#list.map(([key, value]) => `'${key}' => '${value}'`).join(', ')} }`; }
  }
  const PARTS = ['protocol', 'username', 'password', 'host', 'hostname', 'port', 'pathname', 'search', 'hash'];
  class URL {
    #parts;
    #query;
    constructor(text, base) {
      const parts = native.url(String(text).toWellFormed(), base === undefined ? undefined : String(base).toWellFormed());
      if (parts === undefined) throw bad(String(text));
      this.#parts = JSON.parse(parts);
    }
    static canParse(text, base) { return native.url(String(text).toWellFormed(), base === undefined ? undefined : String(base)) !== undefined; }
    get href() { return this.#parts.href; }
    set href(value) { this.#set('href', value); }
    get origin() { return this.#parts.origin; }
    get searchParams() {
      if (!this.#query) this.#query = new URLSearchParams(this.search, (text) => this.#set('search', text, true));
      return this.#query;
    }
    #set(part, value, byQuery) {
      const parts = native.setUrl(this.href, part, String(value).toWellFormed());
      if (parts === undefined) throw bad(String(value));
      this.#parts = JSON.parse(parts);
      if (!byQuery && this.#query) this.#query.reset(this.search);
    }
    static {
      for (const part of PARTS) {
        Object.defineProperty(this.prototype, part, {
          enumerable: true,
          configurable: true,
          get() { return this.#parts[part]; },
          set(value) { this.#set(part, value); },
        });
      }
    }
    toString() { return this.href; }
    toJSON() { return this.href; }
    [Symbol.for('nodejs.util.inspect.custom')](_, __, inspect) {
      return `URL ${inspect(Object.fromEntries(['href', 'origin', ...PARTS].map((part) => [part, this[part]])))}`;
    }
  }
  exports.URL = URL;
  exports.URLSearchParams = URLSearchParams;
  exports.fileURLToPath = (url) => decodeURIComponent((url instanceof URL ? url : new URL(url)).pathname);
  exports.pathToFileURL = (file) => new URL(`file://${encodeURI(require('path').resolve(file)).replace(/[?#]/g, encodeURIComponent)}`);
  exports.parse = (text, query) => {
    const found = /^(?:([a-z][a-z0-9+.-]*:))?(\/\/)?(?:([^/?#@]*)@)?([^/?#:]*)(?::(\d+))?([^?#]*)(\?[^#]*)?(#.*)?$/i.exec(text) || [];
    const [, protocol = null, slashes, auth = null, hostname, port = null, pathname, search = null, hash = null] = found;
    const host = slashes ? `${hostname}${port ? `:${port}` : ''}` : null;
    const path = slashes ? pathname || (protocol ? '/' : null) : `${hostname || ''}${port ? `:${port}` : ''}${pathname || ''}` || null;
    const plain = search ? search.slice(1) : null;
    return {
      protocol, slashes: slashes ? true : null, auth, host, port, hostname: slashes ? hostname : null, hash, search,
      query: query ? require('querystring').parse(plain || '') : plain, pathname: path, path: `${path || ''}${search || ''}` || null, href: text,
    };
  };
  exports.format = (url) => {
    if (typeof url === 'string' || url instanceof URL) return String(url);
    const query = url.search || (url.query && typeof url.query === 'object' ? `?${require('querystring').stringify(url.query)}` : '');
    const host = url.host || (url.hostname ? `${url.hostname}${url.port ? `:${url.port}` : ''}` : '');
    const protocol = url.protocol ? url.protocol.replace(/:?$/, ':') : '';
    return `${protocol}${host || url.slashes ? '//' : ''}${url.auth ? `${url.auth}@` : ''}${host}${url.pathname || ''}${query === '?' ? '' : query}${url.hash || ''}`;
  };
  exports.resolve = (from, to) => {
    const found = new URL(to, new URL(from, 'resolve://'));
    return found.protocol === 'resolve:' ? found.pathname + found.search + found.hash : found.href;
  };
})
