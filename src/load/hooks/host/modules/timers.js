// `timers` and `timers/promises`.
(function (exports) {
  'use strict';
  const later = (delay, value) => new Promise((done) => setTimeout(done, delay, value));
  Object.assign(exports, {
    setTimeout, setInterval, setImmediate, clearTimeout, clearInterval, clearImmediate,
    promises: { setTimeout: later, setImmediate: (value) => later(0, value), scheduler: { wait: later, yield: () => later(0) } },
  });
})
