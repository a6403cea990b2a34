// `node-fetch`: the function itself, with the rest on it.
(function (exports, require, module) {
  'use strict';
  const { fetch, Headers, Request, Response, FetchError, AbortSignal } = require('internal/fetch');
  const AbortError = class AbortError extends Error {};
  const isRedirect = (status) => [301, 302, 303, 307, 308].includes(status);
  const all = (input, init) => fetch(input, init);
  module.exports = Object.assign(all, { default: all, fetch: all, Headers, Request, Response, FetchError, AbortSignal, AbortError, isRedirect });
  Object.defineProperty(module.exports, '__esModule', { value: true });
})
