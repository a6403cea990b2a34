// The surroundings of a processor in a `node` child: lines of JSON in by the standard input, out by the standard output, each of ours
// behind a sign that no other line begins with. What the script itself prints goes the same way, as something said.
(function (makeHost, version, settings) {
  'use strict';
  const require = globalThis.require;
  const Module = require('module');
  const { createRequire } = Module;
  const { pathToFileURL } = require('url');
  const { AsyncLocalStorage } = require('async_hooks');
  const { Worker } = require('worker_threads');
  const util = require('util');
  const vm = require('vm');
  for (const name of ['require', 'module', 'exports', '__filename', '__dirname']) delete globalThis[name];
  const { stringify, parse } = JSON;
  const { stdin, stdout } = process;
  const exit = process.reallyExit.bind(process);

  // ---- what goes out
  const write = stdout.write.bind(stdout);
  let waiting = [];
  function flush() {
    if (!waiting.length) return;
    const text = waiting.join('');
    waiting = [];
    write(text);
  }
  function tell(...message) {
    if (!waiting.length) setImmediate(flush);
    waiting.push(`\u0001${stringify(message)}\n`);
  }
  const well = (text) => (String(text).toWellFormed ? String(text).toWellFormed() : String(text)).slice(0, 65536);
  const printed = (text, encoding, done) => {
    tell('s', well(typeof text === 'string' ? text : Buffer.from(text).toString()).replace(/\n$/, ''));
    const callback = typeof encoding === 'function' ? encoding : done;
    if (callback) process.nextTick(callback);
    return true;
  };
  stdout.write = printed;
  process.stderr.write = printed;

  // ---- the host
  const variables = new Map();
  const people = new Map();
  const at = new AsyncLocalStorage();
  const running = settings.run;
  const host = makeHost({
    reply: (...reply) => tell('r', ...reply),
    variables: (user) => variables.get(user),
    person: (user) => people.get(user),
    note: (text) => tell('n', well(text)),
    fault: (text, stack) => tell('f', well(text), well(stack)),
    loaded: (...loaded) => tell('l', ...loaded),
    working: () => {},
    current: () => at.getStore(),
    limit: (error, message) => {
      if (error.code === 'ERR_SCRIPT_EXECUTION_TIMEOUT') return ['ERR_HOOK_BUSY', settings.busy];
      if (error instanceof RangeError && message === 'Maximum call stack size exceeded') return ['ERR_HOOK_STACK', settings.deep];
      return undefined;
    },
  });
  globalThis.artillery = host.artillery(settings.testRunId, version, (...args) => console.log(...args));
  process.argv = ['node', settings.main];
  process.mainModule = { id: '.', filename: settings.main, exports: {}, loaded: true, children: [], paths: [] };
  process.exit = host.exit;
  process.abort = host.exit;
  process.on('uncaughtException', host.uncaught);
  process.on('unhandledRejection', host.rejected);

  // ---- what comes in: as long as a hook does not pause, a watch of the engine's own breaks it off
  const queue = [];
  let began = 0;
  function turns() {
    const until = Date.now() + running / 3;
    while (queue.length && Date.now() < until) {
      const [id, ...rest] = queue.shift();
      began = id;
      at.run(id, host.dispatch, id, ...rest);
    }
  }
  globalThis[Symbol.for('pyperf.turns')] = turns;
  const watched = new vm.Script("globalThis[Symbol.for('pyperf.turns')]()", { filename: 'node:pyperf' });
  function work() {
    while (queue.length) {
      try {
        watched.runInThisContext({ timeout: Math.ceil(running * 4 / 3), displayErrors: false });
      } catch (error) {
        at.run(began, host.uncaught, error);
      }
    }
    flush();
  }
  const orders = {
    c: (id, user, kind, index, payload, fresh, text, person) => {
      if (typeof text === 'string') variables.set(user, text);
      if (typeof person === 'string') people.set(user, person);
      queue.push([id, user, kind, index, payload === null ? undefined : payload, fresh]);
    },
    f: (user) => {
      variables.delete(user);
      people.delete(user);
      host.forget(user);
    },
    a: host.abandon,
    p: (number) => tell('p', number),
  };
  let rest = '';
  stdin.setEncoding('utf8');
  stdin.on('data', (piece) => {
    const lines = (rest + piece).split('\n');
    rest = lines.pop();
    for (const line of lines) {
      const [kind, ...order] = parse(line);
      orders[kind](...order);
    }
    work();
  });
  stdin.on('end', () => exit(0));
  stdin.on('error', () => exit(0));
  // A hook that never pauses does not hear that its parent is gone; this does.
  const parent = process.ppid;
  new Worker(`setInterval(() => { if (process.ppid !== ${parent}) process.kill(process.pid, 'SIGKILL'); }, 500)`, { eval: true }).unref();

  // Node has had `fetch` itself since 18: who asks for the package and has not installed it gets that.
  const resolved = Module._load;
  Module._load = function load(name, ...others) {
    try {
      return resolved.call(this, name, ...others);
    } catch (error) {
      if (name !== 'node-fetch' || error.code !== 'MODULE_NOT_FOUND') throw error;
      const { Headers, Request, Response } = globalThis;
      const all = (...request) => globalThis.fetch(...request);
      return Object.assign(all, { default: all, Headers, Request, Response });
    }
  };
  const { file } = settings;
  host.load(() => {
    const url = pathToFileURL(file).href;
    if (file.endsWith('.mjs')) return import(url);
    try {
      return createRequire(file)(file);
    } catch (error) {
      const isModule = ['ERR_REQUIRE_ESM', 'ERR_REQUIRE_ASYNC_MODULE'].includes(error.code)
        || (error instanceof SyntaxError && /Cannot use import statement|Unexpected token 'export'|Cannot use 'import\.meta'|await is only valid/.test(error.message));
      if (isModule) return import(url);
      throw error;
    }
  });
})
