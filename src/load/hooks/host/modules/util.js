// `util`: how values are shown, and the small helpers that packages ask for.
(function (exports, require, module, native) {
  'use strict';
  const CUSTOM = Symbol.for('nodejs.util.inspect.custom');
  const LONGEST = 10000;
  const quote = (text) => (text.includes("'") && !text.includes('"') ? JSON.stringify(text) : `'${JSON.stringify(text).slice(1, -1).replace(/\\"/g, '"').replace(/'/g, "\\'")}'`);
  const nameOf = (value) => {
    const proto = Object.getPrototypeOf(value);
    return proto === null ? '[Object: null prototype]' : (proto.constructor && proto.constructor.name) || 'Object';
  };
  function inspect(value, options) {
    const depth = options && typeof options === 'object' && 'depth' in options ? (options.depth === null ? Infinity : options.depth) : 2;
    const seen = [];
    const show = (one, level) => {
      switch (typeof one) {
        case 'string': return quote(one.length > LONGEST ? `${one.slice(0, LONGEST)}...` : one);
        case 'bigint': return `${one}n`;
        case 'symbol': return String(one);
        case 'number': return Object.is(one, -0) ? '-0' : String(one);
        case 'function': {
          const kind = /^class\b/.test(Function.prototype.toString.call(one)) ? 'class' : one.constructor ? one.constructor.name : 'Function';
          return `[${kind}${one.name ? (kind === 'class' ? ` ${one.name}` : `: ${one.name}`) : kind === 'class' ? '' : ' (anonymous)'}]`;
        }
        case 'undefined': case 'boolean': return String(one);
      }
      if (one === null) return 'null';
      if (seen.includes(one)) return '[Circular *1]';
      if (typeof one[CUSTOM] === 'function') {
        const text = one[CUSTOM](depth - level, options || {}, inspect);
        return typeof text === 'string' ? text : show(text, level);
      }
      if (one instanceof Error) {
        const head = `${one.name}: ${one.message}`;
        const stack = String(one.stack || '').trimEnd();
        const text = stack.startsWith(one.name) ? stack : stack ? `${head}\n${stack}` : `[${head}]`;
        const extra = Object.keys(one).filter((key) => !['name', 'message', 'stack'].includes(key));
        return extra.length && level <= depth ? `${text} ${braces(extra.map((key) => `${key}: ${show(one[key], level + 1)}`), '{', '}', level)}` : text;
      }
      if (one instanceof Date) return Number.isNaN(one.getTime()) ? 'Invalid Date' : one.toISOString();
      if (one instanceof RegExp) return String(one);
      if (one instanceof Number || one instanceof String || one instanceof Boolean) return `[${nameOf(one)}: ${show(one.valueOf(), level)}]`;
      if (one instanceof Promise) return 'Promise { <pending> }';
      if (level > depth) return Array.isArray(one) ? '[Array]' : `[${nameOf(one)}]`;
      seen.push(one);
      const text = inside(one, level);
      seen.pop();
      return text;
    };
    const inside = (one, level) => {
      const name = nameOf(one);
      if (Array.isArray(one)) {
        const parts = one.slice(0, 100).map((item) => show(item, level + 1));
        if (one.length > 100) parts.push(`... ${one.length - 100} more items`);
        return braces(parts, '[', ']', level);
      }
      if (one instanceof require('buffer').Buffer) return `<Buffer ${[...one.subarray(0, 50)].map((byte) => byte.toString(16).padStart(2, '0')).join(' ')}${one.length > 50 ? ` ... ${one.length - 50} more bytes` : ''}>`;
      if (ArrayBuffer.isView(one) && !(one instanceof DataView)) return `${name}(${one.length}) ${braces([...one.subarray(0, 100)].map(String), '[', ']', level)}`;
      if (one instanceof Map) return `Map(${one.size}) ${braces([...one].slice(0, 100).map(([key, item]) => `${show(key, level + 1)} => ${show(item, level + 1)}`), '{', '}', level)}`;
      if (one instanceof Set) return `Set(${one.size}) ${braces([...one].slice(0, 100).map((item) => show(item, level + 1)), '{', '}', level)}`;
      const parts = [];
      for (const key of Reflect.ownKeys(one)) {
        const property = Object.getOwnPropertyDescriptor(one, key);
        if (!property || !property.enumerable) continue;
        const shown = typeof key === 'symbol' ? `[${String(key)}]` : /^[A-Za-z_$][\w$]*$/.test(key) ? key : quote(key);
        // The variables of a context stand behind a getter, and are what is to be seen.
        parts.push(`${shown}: ${show(property.get ? one[key] : property.value, level + 1)}`);
        if (parts.length >= 1000) break;
      }
      return `${name === 'Object' ? '' : `${name} `}${braces(parts, '{', '}', level)}`;
    };
    const braces = (parts, open, close, level) => {
      if (!parts.length) return open + close;
      const line = `${open} ${parts.join(', ')} ${close}`;
      if (line.length <= 76 && !line.includes('\n')) return line;
      const indent = '  '.repeat(level + 1);
      return `${open}\n${indent}${parts.join(`,\n${indent}`)}\n${'  '.repeat(level)}${close}`;
    };
    return show(value, 0);
  }
  inspect.custom = CUSTOM;
  inspect.defaultOptions = {};
  const plain = (value) => (typeof value === 'string' ? value : inspect(value));
  function format(...args) {
    if (typeof args[0] !== 'string') return args.map(plain).join(' ');
    let at = 1;
    const text = args[0].replace(/%[sdifjoOc%]/g, (sign) => {
      if (sign === '%%') return '%';
      if (at >= args.length) return sign;
      const value = args[at];
      at += 1;
      switch (sign) {
        case '%s': return typeof value === 'object' && value !== null ? inspect(value, { depth: 0 }) : String(value);
        case '%d': return typeof value === 'object' ? 'NaN' : String(Number(value));
        case '%i': return String(parseInt(value, 10));
        case '%f': return String(parseFloat(value));
        case '%j': return JSON.stringify(value);
        case '%c': return '';
        default: return inspect(value, { depth: 4 });
      }
    });
    return [text, ...args.slice(at).map(plain)].join(' ');
  }
  const PROMISIFIED = Symbol.for('nodejs.util.promisify.custom');
  function promisify(fn) {
    if (typeof fn !== 'function') throw new TypeError('The "original" argument must be of type function');
    if (fn[PROMISIFIED]) return fn[PROMISIFIED];
    return function (...args) {
      return new Promise((done, fail) => fn.call(this, ...args, (error, value) => (error ? fail(error) : done(value))));
    };
  }
  promisify.custom = PROMISIFIED;
  setTimeout[PROMISIFIED] = (delay, value) => new Promise((done) => setTimeout(done, delay, value));
  class TextEncoder {
    get encoding() { return 'utf-8'; }
    encode(text = '') { return native.decode(String(text).toWellFormed(), 'utf8'); }
    encodeInto(text, to) {
      const bytes = this.encode(text).subarray(0, to.length);
      to.set(bytes);
      return { read: text.length, written: bytes.length };
    }
  }
  class TextDecoder {
    constructor(label = 'utf-8', options = {}) {
      const names = { 'utf-8': 'utf8', utf8: 'utf8', 'utf-16le': 'utf16le', latin1: 'latin1', ascii: 'latin1', 'iso-8859-1': 'latin1', 'windows-1252': 'latin1' };
      this.name = names[String(label).toLowerCase()];
      if (!this.name) throw new RangeError(`The "${label}" encoding is not supported`);
      this.encoding = String(label).toLowerCase();
      this.fatal = Boolean(options.fatal);
      this.ignoreBOM = Boolean(options.ignoreBOM);
    }
    decode(bytes) {
      if (bytes === undefined) return '';
      const view = bytes instanceof ArrayBuffer ? new Uint8Array(bytes) : new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      const text = native.encode(view, this.name);
      if (this.fatal && text.includes('\uFFFD')) throw new TypeError('The encoded data was not valid');
      return this.ignoreBOM ? text : text.replace(/^\uFEFF/, '');
    }
  }
  const types = {
    isPromise: (value) => value instanceof Promise,
    isDate: (value) => value instanceof Date,
    isRegExp: (value) => value instanceof RegExp,
    isMap: (value) => value instanceof Map,
    isSet: (value) => value instanceof Set,
    isNativeError: (value) => value instanceof Error,
    isTypedArray: (value) => ArrayBuffer.isView(value) && !(value instanceof DataView),
    isUint8Array: (value) => value instanceof Uint8Array,
    isArrayBuffer: (value) => value instanceof ArrayBuffer,
    isAnyArrayBuffer: (value) => value instanceof ArrayBuffer,
    isArrayBufferView: (value) => ArrayBuffer.isView(value),
    isProxy: () => false,
    isAsyncFunction: (value) => typeof value === 'function' && value.constructor.name === 'AsyncFunction',
    isGeneratorFunction: (value) => typeof value === 'function' && value.constructor.name === 'GeneratorFunction',
    isBoxedPrimitive: (value) => value instanceof Number || value instanceof String || value instanceof Boolean,
    isSymbolObject: () => false,
  };
  Object.assign(exports, {
    inspect, format, promisify, TextEncoder, TextDecoder, types,
    formatWithOptions: (_, ...args) => format(...args),
    callbackify: (fn) => (...args) => {
      const done = args.pop();
      fn(...args).then((value) => done(null, value), (error) => done(error));
    },
    inherits: (child, parent) => {
      child.super_ = parent;
      Object.setPrototypeOf(child.prototype, parent.prototype);
    },
    deprecate: (fn) => fn,
    debuglog: () => Object.assign(() => {}, { enabled: false }),
    isDeepStrictEqual: (a, b) => require('assert').same(a, b, true),
    stripVTControlCharacters: (text) => text.replace(/\u001b\[[0-9;]*[A-Za-z]/g, ''),
    toUSVString: (text) => String(text).toWellFormed(),
    isArray: Array.isArray,
    isString: (value) => typeof value === 'string',
    isFunction: (value) => typeof value === 'function',
    isObject: (value) => value !== null && typeof value === 'object',
  });
})
