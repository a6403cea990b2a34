// `assert`.
(function (exports, require, module) {
  'use strict';
  class AssertionError extends Error {
    constructor({ message, actual, expected, operator }) {
      super(message);
      Object.assign(this, { name: 'AssertionError', code: 'ERR_ASSERTION', generatedMessage: false, actual, expected, operator });
    }
  }
  function same(a, b, strict) {
    if (strict ? Object.is(a, b) : a == b || (a !== a && b !== b)) return true;
    if (a === null || b === null || typeof a !== 'object' || typeof b !== 'object') return false;
    if (strict && Object.getPrototypeOf(a) !== Object.getPrototypeOf(b)) return false;
    if (a instanceof Date && b instanceof Date) return a.getTime() === b.getTime();
    if (a instanceof RegExp && b instanceof RegExp) return String(a) === String(b);
    if (a instanceof Map && b instanceof Map) return a.size === b.size && [...a].every(([key, value]) => b.has(key) && same(value, b.get(key), strict));
    if (a instanceof Set && b instanceof Set) return a.size === b.size && [...a].every((value) => b.has(value));
    if (Array.isArray(a) !== Array.isArray(b)) return false;
    const [left, right] = [Object.keys(a), Object.keys(b)];
    return left.length === right.length && left.every((key) => Object.hasOwn(b, key) && same(a[key], b[key], strict));
  }
  const shown = (value) => require('util').inspect(value);
  function check(held, message, operator, actual, expected) {
    if (held) return;
    if (message instanceof Error) throw message;
    throw new AssertionError({ message: message || `${shown(actual)} ${operator} ${shown(expected)}`, actual, expected, operator });
  }
  function matches(error, expected) {
    if (expected === undefined || typeof expected === 'string') return true;
    if (expected instanceof RegExp) return expected.test(String(error));
    if (typeof expected === 'function') return expected.prototype !== undefined && error instanceof expected ? true : expected(error) === true;
    return Object.keys(expected).every((key) => (expected[key] instanceof RegExp ? expected[key].test(error[key]) : same(error[key], expected[key], true)));
  }
  const ok = (value, message) => check(value, message, '==', value, true);
  const assert = (value, message) => ok(value, message);
  Object.assign(assert, {
    AssertionError, ok, same,
    equal: (a, b, message) => check(a == b || (a !== a && b !== b), message, '==', a, b),
    notEqual: (a, b, message) => check(a != b, message, '!=', a, b),
    strictEqual: (a, b, message) => check(Object.is(a, b), message, '===', a, b),
    notStrictEqual: (a, b, message) => check(!Object.is(a, b), message, '!==', a, b),
    deepEqual: (a, b, message) => check(same(a, b, false), message, 'deepEqual', a, b),
    deepStrictEqual: (a, b, message) => check(same(a, b, true), message, 'deepStrictEqual', a, b),
    notDeepEqual: (a, b, message) => check(!same(a, b, false), message, 'notDeepEqual', a, b),
    notDeepStrictEqual: (a, b, message) => check(!same(a, b, true), message, 'notDeepStrictEqual', a, b),
    match: (text, pattern, message) => check(pattern.test(text), message, 'match', text, pattern),
    doesNotMatch: (text, pattern, message) => check(!pattern.test(text), message, 'doesNotMatch', text, pattern),
    fail: (message = 'Failed') => check(false, message),
    ifError: (error) => { if (error !== null && error !== undefined) throw error; },
    throws: (run, expected, message) => {
      let thrown;
      let did = false;
      try {
        run();
      } catch (error) {
        [thrown, did] = [error, true];
      }
      check(did, message || 'Missing expected exception.', 'throws');
      if (!matches(thrown, expected)) throw thrown;
    },
    doesNotThrow: (run) => void run(),
    rejects: async (run, expected) => {
      let thrown;
      try {
        await (typeof run === 'function' ? run() : run);
      } catch (error) {
        if (!matches(error, expected)) throw error;
        thrown = true;
      }
      check(thrown, 'Missing expected rejection.', 'rejects');
    },
  });
  assert.strict = assert;
  module.exports = assert;
})
