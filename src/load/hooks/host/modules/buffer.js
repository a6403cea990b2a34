// `Buffer`, over the bytes of a Uint8Array, and what base64 has of globals.
(function (exports, require, module, native) {
  'use strict';
  const NAMES = { 'utf-8': 'utf8', binary: 'latin1', ucs2: 'utf16le', 'ucs-2': 'utf16le', 'utf-16le': 'utf16le' };
  const known = (encoding) => {
    const name = String(encoding === undefined || encoding === null ? 'utf8' : encoding).toLowerCase();
    return NAMES[name] || name;
  };
  const unknown = (encoding) => Object.assign(new TypeError(`Unknown encoding: ${encoding}`), { code: 'ERR_UNKNOWN_ENCODING' });
  function decode(text, encoding) {
    const bytes = native.decode(text.toWellFormed(), known(encoding));
    if (bytes === undefined) throw unknown(encoding);
    return bytes;
  }
  const over = (bytes) => {
    Object.setPrototypeOf(bytes, Buffer.prototype);
    return bytes;
  };
  class Buffer extends Uint8Array {
    static from(value, encoding, length) {
      if (typeof value === 'string') return over(decode(value, encoding));
      if (value instanceof ArrayBuffer) return over(new Uint8Array(value, encoding, length));
      if (ArrayBuffer.isView(value) || Array.isArray(value)) return over(new Uint8Array(value));
      if (value && value.type === 'Buffer' && Array.isArray(value.data)) return over(new Uint8Array(value.data));
      if (value && typeof value.valueOf() === 'string') return over(decode(value.valueOf(), encoding));
      throw new TypeError('The first argument must be a string, a Buffer, an ArrayBuffer or an Array');
    }
    static alloc(size, fill, encoding) {
      const buffer = over(new Uint8Array(size));
      return fill === undefined ? buffer : buffer.fill(fill, 0, size, encoding);
    }
    static allocUnsafe(size) { return Buffer.alloc(size); }
    static allocUnsafeSlow(size) { return Buffer.alloc(size); }
    static isBuffer(value) { return value instanceof Buffer; }
    static isEncoding(name) { return ['utf8', 'latin1', 'ascii', 'hex', 'base64', 'base64url', 'utf16le'].includes(known(name)); }
    static byteLength(value, encoding) { return typeof value === 'string' ? decode(value, encoding).length : value.byteLength; }
    static concat(list, length) {
      const size = length === undefined ? list.reduce((sum, one) => sum + one.length, 0) : length;
      const all = Buffer.alloc(size);
      let at = 0;
      for (const one of list) {
        all.set(one.subarray(0, Math.max(0, size - at)), at);
        at += one.length;
        if (at >= size) break;
      }
      return all;
    }
    static compare(a, b) {
      for (let at = 0; at < a.length && at < b.length; at += 1) if (a[at] !== b[at]) return a[at] < b[at] ? -1 : 1;
      return Math.sign(a.length - b.length);
    }
    toString(encoding, start = 0, end = this.length) {
      const text = native.encode(start === 0 && end === this.length ? this : this.subarray(start, end), known(encoding));
      if (text === undefined) throw unknown(encoding);
      return text;
    }
    toLocaleString(encoding) { return this.toString(encoding); }
    toJSON() { return { type: 'Buffer', data: Array.from(this) }; }
    equals(other) { return Buffer.compare(this, other) === 0; }
    compare(other) { return Buffer.compare(this, other); }
    slice(start, end) { return over(Uint8Array.prototype.subarray.call(this, start, end)); }
    subarray(start, end) { return over(Uint8Array.prototype.subarray.call(this, start, end)); }
    write(text, offset = 0, length, encoding) {
      if (typeof offset === 'string') [offset, length, encoding] = [0, undefined, offset];
      if (typeof length === 'string') [length, encoding] = [undefined, length];
      const bytes = decode(text, encoding).subarray(0, Math.min(length === undefined ? Infinity : length, this.length - offset));
      this.set(bytes, offset);
      return bytes.length;
    }
    fill(value, start = 0, end = this.length, encoding) {
      if (typeof value !== 'string') {
        Uint8Array.prototype.fill.call(this, value, start, end);
        return this;
      }
      const bytes = decode(value, encoding);
      for (let at = start; bytes.length && at < end; at += 1) this[at] = bytes[(at - start) % bytes.length];
      return this;
    }
    copy(to, at = 0, start = 0, end = this.length) {
      const bytes = Uint8Array.prototype.subarray.call(this, start, Math.min(end, start + to.length - at));
      to.set(bytes, at);
      return bytes.length;
    }
    indexOf(value, from = 0, encoding) {
      if (typeof value === 'number') return Uint8Array.prototype.indexOf.call(this, value, from);
      const bytes = typeof value === 'string' ? decode(value, encoding) : value;
      for (let at = from; at + bytes.length <= this.length; at += 1) {
        if (bytes.every((byte, inside) => this[at + inside] === byte)) return at;
      }
      return -1;
    }
    includes(value, from, encoding) { return this.indexOf(value, from, encoding) >= 0; }
  }
  const view = (buffer) => new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
  const kinds = { UInt8: ['Uint8', 1], Int8: ['Int8', 1], UInt16: ['Uint16', 2], Int16: ['Int16', 2], UInt32: ['Uint32', 4], Int32: ['Int32', 4], Float: ['Float32', 4], Double: ['Float64', 8], BigUInt64: ['BigUint64', 8], BigInt64: ['BigInt64', 8] };
  for (const [name, [kind, size]] of Object.entries(kinds)) {
    for (const order of size === 1 ? [''] : ['LE', 'BE']) {
      const hidden = (value) => ({ value, writable: true, configurable: true });
      const read = hidden(function (at = 0) { return view(this)[`get${kind}`](at, order === 'LE'); });
      const write = hidden(function (value, at = 0) {
        view(this)[`set${kind}`](at, value, order === 'LE');
        return at + size;
      });
      Object.defineProperty(Buffer.prototype, `read${name}${order}`, read);
      Object.defineProperty(Buffer.prototype, `write${name}${order}`, write);
      Object.defineProperty(Buffer.prototype, `read${name.replace('UInt', 'Uint')}${order}`, read);
      Object.defineProperty(Buffer.prototype, `write${name.replace('UInt', 'Uint')}${order}`, write);
    }
  }
  Buffer.poolSize = 8192;
  exports.Buffer = Buffer;
  exports.kMaxLength = 2 ** 31 - 1;
  exports.constants = { MAX_LENGTH: 2 ** 31 - 1, MAX_STRING_LENGTH: 2 ** 29 - 1 };
  exports.atob = (text) => {
    const trimmed = String(text).replace(/[\t\n\f\r ]/g, '');
    if (/[^A-Za-z0-9+/=]/.test(trimmed) || trimmed.replace(/=+$/, '').length % 4 === 1) throw new Error('The string to be decoded is not correctly encoded.');
    return Buffer.from(trimmed, 'base64').toString('latin1');
  };
  exports.btoa = (text) => {
    if (/[^\x00-\xff]/.test(String(text))) throw new Error('Invalid character');
    return Buffer.from(String(text), 'latin1').toString('base64');
  };
})
