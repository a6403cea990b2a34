// `querystring`: the older way to read and write queries.
(function (exports, require, module) {
  'use strict';
  const escape = (text) => encodeURIComponent(String(text).toWellFormed());
  const unescape = (text) => {
    try {
      return decodeURIComponent(text);
    } catch {
      return text;
    }
  };
  const plain = (value) => (['string', 'number', 'bigint', 'boolean'].includes(typeof value) ? String(value) : '');
  exports.escape = escape;
  exports.unescape = unescape;
  exports.stringify = exports.encode = (object, separator = '&', equals = '=') =>
    Object.keys(object || {}).flatMap((key) => [object[key]].flat().map((value) => `${escape(key)}${equals}${escape(plain(value))}`)).join(separator);
  exports.parse = exports.decode = (text, separator = '&', equals = '=') => {
    const found = Object.create(null);
    for (const pair of String(text || '').split(separator).filter(Boolean).slice(0, 1000)) {
      const at = pair.indexOf(equals);
      const [key, value] = (at < 0 ? [pair, ''] : [pair.slice(0, at), pair.slice(at + equals.length)]).map((part) => unescape(part.replace(/\+/g, ' ')));
      if (key in found) found[key] = [found[key], value].flat();
      else found[key] = value;
    }
    return found;
  };
})
