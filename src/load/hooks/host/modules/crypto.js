// `crypto`: digests and noise; keys and ciphers are not here.
(function (exports, require, module, native) {
  'use strict';
  const { Buffer } = require('buffer');
  const bytes = (value, encoding) => (typeof value === 'string' ? Buffer.from(value, encoding) : value instanceof ArrayBuffer ? new Uint8Array(value) : value);
  const known = (name) => String(name).toLowerCase().replace(/^rsa-/, '').replace(/^sha-/, 'sha');
  class Digest {
    constructor(name, key) {
      this._name = known(name);
      this._key = key === undefined ? undefined : bytes(key);
      this._parts = [];
      if (native.digest(this._name, new Uint8Array(0)) === undefined) throw Object.assign(new Error(`Digest method not supported: ${name}`), { code: 'ERR_CRYPTO_INVALID_DIGEST' });
    }
    update(value, encoding) {
      if (!this._parts) throw Object.assign(new Error('Digest already called'), { code: 'ERR_CRYPTO_HASH_FINALIZED' });
      if (typeof value !== 'string' && !ArrayBuffer.isView(value)) throw Object.assign(new TypeError('The "data" argument must be of type string or an instance of Buffer'), { code: 'ERR_INVALID_ARG_TYPE' });
      this._parts.push(Buffer.from(bytes(value, encoding)));
      return this;
    }
    digest(encoding) {
      if (!this._parts) throw Object.assign(new Error('Digest already called'), { code: 'ERR_CRYPTO_HASH_FINALIZED' });
      const all = Buffer.concat(this._parts);
      this._parts = undefined;
      const found = Buffer.from(this._key === undefined ? native.digest(this._name, all) : native.hmac(this._name, this._key, all));
      return encoding && encoding !== 'buffer' ? found.toString(encoding) : found;
    }
  }
  const noise = (length) => Buffer.from(native.noise(length));
  function randomUUID() {
    const all = noise(16);
    all[6] = (all[6] & 0x0f) | 0x40;
    all[8] = (all[8] & 0x3f) | 0x80;
    return all.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
  }
  function getRandomValues(array) {
    if (array.byteLength > 65536) throw new Error('The requested length exceeds 65,536 bytes');
    new Uint8Array(array.buffer, array.byteOffset, array.byteLength).set(noise(array.byteLength));
    return array;
  }
  const web = (name) => known(typeof name === 'string' ? name : name.name);
  Object.assign(exports, {
    randomUUID, getRandomValues,
    createHash: (name) => new Digest(name),
    createHmac: (name, key) => new Digest(name, key),
    hash: (name, value, encoding = 'hex') => new Digest(name).update(value).digest(encoding),
    getHashes: () => ['md5', 'sha1', 'sha224', 'sha256', 'sha384', 'sha512'],
    randomBytes: (length, done) => {
      if (typeof done !== 'function') return noise(length);
      queueMicrotask(() => done(null, noise(length)));
    },
    randomFillSync: (buffer) => getRandomValues(buffer),
    randomInt: (min, max, done) => {
      if (max === undefined || typeof max === 'function') [min, max, done] = [0, min, max];
      const value = min + Math.floor((noise(6).reduce((sum, byte) => sum * 256 + byte, 0) / 2 ** 48) * (max - min));
      if (typeof done !== 'function') return value;
      queueMicrotask(() => done(null, value));
    },
    timingSafeEqual: (a, b) => {
      if (a.byteLength !== b.byteLength) throw new RangeError('Input buffers must have the same byte length');
      return Buffer.from(a).equals(Buffer.from(b));
    },
    webcrypto: {
      randomUUID, getRandomValues,
      subtle: {
        digest: async (name, value) => {
          const view = value instanceof ArrayBuffer ? new Uint8Array(value) : value;
          const found = native.digest(web(name), new Uint8Array(view.buffer, view.byteOffset, view.byteLength));
          if (found === undefined) throw new Error('Unrecognized algorithm name');
          return found.buffer;
        },
      },
    },
  });
})
