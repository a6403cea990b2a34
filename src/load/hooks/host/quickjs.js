// The surroundings of a processor in the embedded engine: the globals of Node, and its two kinds of modules.
//
// `native` is what Rust lends; `host` makes the entry points of `host.js`. What a processor asks for and this lacks is told as an
// error with the code ERR_NEEDS_NODE.
(function (native, makeHost) {
  'use strict';
  const { parse } = JSON;
  const settings = parse(native.settings);
  const global = globalThis;
  const define = (name, value) => Object.defineProperty(global, name, { value, writable: true, configurable: true, enumerable: false });
  const well = (text) => String(text).toWellFormed();

  // Bytes go to Rust as a text of one character each.
  function binary(bytes) {
    if (bytes === undefined) return undefined;
    const parts = [];
    for (let at = 0; at < bytes.length; at += 4096) parts.push(String.fromCharCode.apply(undefined, Uint8Array.prototype.subarray.call(bytes, at, at + 4096)));
    return parts.join('');
  }
  const { digest, hmac, encode, fetch } = native;
  native.digest = (algorithm, bytes) => digest(algorithm, binary(bytes));
  native.hmac = (algorithm, key, bytes) => hmac(algorithm, binary(key), binary(bytes));
  native.encode = (bytes, encoding) => encode(binary(bytes), encoding);
  native.fetch = (number, wanted, bytes) => fetch(number, wanted, binary(bytes));

  const host = makeHost({
    reply: native.reply,
    variables: native.variables,
    person: native.person,
    working: native.working,
    note: (text) => native.note(well(text)),
    fault: (text, stack) => native.fault(well(text), well(stack)),
    loaded: native.loaded,
    limit: (error, message) => (error.name === 'InternalError' || error.name === 'RangeError' ? native.limit(message) : undefined),
  });

  // ---- timers
  const timers = new Map();
  let lastTimer = 0;
  class Timeout {
    constructor(number) { this.number = number; }
    ref() { return this; }
    unref() { return this; }
    hasRef() { return true; }
    refresh() {
      const timer = timers.get(this.number);
      if (timer) native.timer(this.number, timer.delay);
      return this;
    }
    close() { clear(this); }
    [Symbol.toPrimitive]() { return this.number; }
  }
  function set(callback, delay, args, repeat) {
    if (typeof callback !== 'function') throw new TypeError('The "callback" argument must be of type function');
    const length = Number(delay) >= 1 && Number(delay) <= 2147483647 ? Number(delay) : 1;
    const number = (lastTimer += 1);
    if (!native.timer(number, length)) throw new RangeError('too many timers are set');
    timers.set(number, { callback, args, delay: length, repeat, call: host.current() });
    return new Timeout(number);
  }
  function clear(timer) {
    const number = timer instanceof Timeout ? timer.number : Number(timer);
    if (timers.delete(number)) native.untimer(number);
  }
  function fire(number) {
    const timer = timers.get(number);
    if (!timer) return;
    if (timer.repeat) native.timer(number, timer.delay);
    else timers.delete(number);
    host.within(timer.call, () => timer.callback.apply(undefined, timer.args));
  }
  define('setTimeout', (callback, delay, ...args) => set(callback, delay, args, false));
  define('setInterval', (callback, delay, ...args) => set(callback, delay, args, true));
  define('setImmediate', (callback, ...args) => set(callback, 1, args, false));
  define('clearTimeout', clear);
  define('clearInterval', clear);
  define('clearImmediate', clear);
  const soon = (callback, args) => {
    const call = host.current();
    Promise.resolve().then(() => host.within(call, () => callback.apply(undefined, args)));
  };
  define('queueMicrotask', (callback) => soon(callback, []));

  // ---- modules of our own
  const builtins = new Map();
  const LACKING = new Set(('async_hooks child_process cluster constants dgram diagnostics_channel dns domain http http2 https inspector '
    + 'module net readline repl stream tls trace_events tty v8 vm wasi worker_threads zlib sqlite test').split(' '));
  function builtin(name) {
    const known = builtins.get(name);
    if (known) return known.exports;
    const source = native.builtin(name);
    if (source === undefined) return undefined;
    const module = { exports: {} };
    builtins.set(name, module);
    native.compile(source, `pyperf:${name}`)(module.exports, builtin, module, native, host);
    return module.exports;
  }
  function lacking(name) {
    const error = new Error(`the embedded JavaScript has no '${name}'`);
    error.code = 'ERR_NEEDS_NODE';
    return error;
  }

  // ---- process and console
  const started = native.now();
  const process = {
    env: settings.environment,
    argv: ['node', settings.main],
    execArgv: [],
    execPath: 'node',
    title: 'pyperf',
    pid: settings.pid,
    ppid: 0,
    platform: 'linux',
    arch: settings.arch,
    version: 'v20.0.0',
    versions: { node: '20.0.0', quickjs: settings.engine, pyperf: settings.version },
    release: { name: 'node' },
    exitCode: undefined,
    stdout: { isTTY: false, write: (text) => (native.say(well(text).replace(/\n$/, '')), true) },
    stderr: { isTTY: false, write: (text) => (native.say(well(text).replace(/\n$/, '')), true) },
    cwd: () => settings.cwd,
    exit: host.exit,
    abort: host.exit,
    nextTick: (callback, ...args) => soon(callback, args),
    uptime: () => (native.now() - started) / 1000,
    hrtime: Object.assign((before) => {
      const now = native.now();
      let [seconds, nanos] = [Math.floor(now / 1000), Math.floor((now % 1000) * 1e6)];
      if (before) {
        [seconds, nanos] = [seconds - before[0], nanos - before[1]];
        if (nanos < 0) [seconds, nanos] = [seconds - 1, nanos + 1e9];
      }
      return [seconds, nanos];
    }, { bigint: () => BigInt(Math.floor(native.now() * 1e6)) }),
    memoryUsage: () => ({ rss: 0, heapTotal: 0, heapUsed: 0, external: 0, arrayBuffers: 0 }),
    emitWarning: (warning) => host.once(String((warning && warning.message) || warning)),
    on() { return this; },
    once() { return this; },
    off() { return this; },
    addListener() { return this; },
    removeListener() { return this; },
    removeAllListeners() { return this; },
    listeners: () => [],
    listenerCount: () => 0,
    emit: () => false,
  };
  define('process', process);
  define('global', global);
  const say = (...args) => native.say(well(builtin('util').format(...args)));
  const counts = new Map();
  define('console', {
    log: say, info: say, debug: say, warn: say, error: say,
    dir: (value) => say(value),
    table: (value) => say(value),
    trace: (...args) => say(`Trace: ${builtin('util').format(...args)}\n${new Error().stack}`),
    assert: (held, ...args) => { if (!held) say('Assertion failed', ...args); },
    count: (label = 'default') => {
      counts.set(label, (counts.get(label) || 0) + 1);
      say(`${label}: ${counts.get(label)}`);
    },
    countReset: (label = 'default') => void counts.delete(label),
    group: (...args) => { if (args.length) say(...args); },
    groupCollapsed: (...args) => { if (args.length) say(...args); },
    groupEnd: () => {},
    time: (label = 'default') => void counts.set(`time ${label}`, native.now()),
    timeLog: (label = 'default') => say(`${label}: ${native.now() - (counts.get(`time ${label}`) || 0)}ms`),
    timeEnd: (label = 'default') => say(`${label}: ${native.now() - (counts.get(`time ${label}`) || 0)}ms`),
    clear: () => {},
  });
  define('performance', { now: () => native.now() - started, timeOrigin: Date.now() });
  define('artillery', host.artillery(settings.testRunId, settings.version, (...args) => say(...args)));

  // ---- what is made when it is first asked for
  function lazily(names, from) {
    for (const name of names) {
      Object.defineProperty(global, name, {
        configurable: true,
        enumerable: false,
        get: () => {
          const value = builtin(from)[name];
          define(name, value);
          return value;
        },
        set: (value) => define(name, value),
      });
    }
  }
  lazily(['Buffer', 'atob', 'btoa'], 'buffer');
  lazily(['TextEncoder', 'TextDecoder'], 'util');
  lazily(['URL', 'URLSearchParams'], 'url');
  lazily(['fetch', 'Request', 'Response', 'Headers', 'AbortController', 'AbortSignal'], 'internal/fetch');
  lazily(['structuredClone', 'Event', 'EventTarget'], 'events');
  Object.defineProperty(global, 'crypto', { configurable: true, get: () => builtin('crypto').webcrypto });

  // ---- where a name leads
  const path = builtin('path');
  const FILE = 1;
  const FOLDER = 2;
  const isFile = (file) => native.kind(file) === FILE;
  const packages = new Map();
  function packageAt(folder) {
    let found = packages.get(folder);
    if (found === undefined) {
      const file = path.join(folder, 'package.json');
      found = isFile(file) ? parse(native.text(file)) : null;
      packages.set(folder, found);
    }
    return found;
  }
  function packageOf(file) {
    for (let folder = path.dirname(file); ; folder = path.dirname(folder)) {
      const found = packageAt(folder);
      if (found) return { folder, json: found };
      if (folder === path.dirname(folder)) return { folder, json: {} };
    }
  }
  function asFile(file) {
    if (isFile(file)) return file;
    for (const ending of ['.js', '.json', '.node', '.cjs', '.mjs']) if (isFile(file + ending)) return file + ending;
    return undefined;
  }
  function asFolder(folder) {
    if (native.kind(folder) !== FOLDER) return undefined;
    const json = packageAt(folder);
    if (json && typeof json.main === 'string') {
      const main = path.join(folder, json.main);
      const found = asFile(main) || asFile(path.join(main, 'index'));
      if (found) return found;
    }
    return asFile(path.join(folder, 'index'));
  }
  // https://nodejs.org/api/packages.html: the target of a condition, the first that holds
  function target(folder, value, conditions, star) {
    if (typeof value === 'string') return path.join(folder, value.replaceAll('*', star));
    if (Array.isArray(value)) {
      for (const one of value) {
        const found = target(folder, one, conditions, star);
        if (found) return found;
      }
      return undefined;
    }
    if (value === null || typeof value !== 'object') return undefined;
    for (const key of Object.keys(value)) {
      if (!conditions.has(key)) continue;
      const found = target(folder, value[key], conditions, star);
      if (found) return found;
    }
    return undefined;
  }
  function mapped(folder, map, name, conditions) {
    if (Object.hasOwn(map, name) && !name.includes('*')) return target(folder, map[name], conditions, '');
    let best;
    for (const key of Object.keys(map)) {
      const at = key.indexOf('*');
      if (at < 0) continue;
      const [before, after] = [key.slice(0, at), key.slice(at + 1)];
      const fits = name.startsWith(before) && name.endsWith(after) && name.length >= key.length;
      if (fits && (!best || before.length > best.before.length)) best = { key, before, after };
    }
    if (!best) return undefined;
    return target(folder, map[best.key], conditions, name.slice(best.before.length, name.length - best.after.length));
  }
  const REQUIRE = new Set(['node', 'require', 'default']);
  const IMPORT = new Set(['node', 'import', 'default']);
  function inPackage(folder, inside, conditions) {
    const json = packageAt(folder);
    if (json && json.exports !== undefined && json.exports !== null) {
      const { exports } = json;
      const isMap = typeof exports === 'object' && !Array.isArray(exports) && Object.keys(exports).some((key) => key.startsWith('.'));
      const found = mapped(folder, isMap ? exports : { '.': exports }, inside ? `./${inside}` : '.', conditions);
      return found && isFile(found) ? found : undefined;
    }
    const whole = inside ? path.join(folder, inside) : folder;
    return (inside && asFile(whole)) || asFolder(whole);
  }
  function missing(name, from) {
    const error = new Error(`Cannot find module '${name}' (from ${from})`);
    error.code = 'MODULE_NOT_FOUND';
    return error;
  }
  // The file that a name means, or `builtin:…`.
  function resolve(name, from, conditions) {
    name = String(name);
    if (name.startsWith('file://')) name = decodeURIComponent(name.slice(7));
    const bare = name.startsWith('node:') ? name.slice(5) : name;
    if (native.builtin(bare) !== undefined && !bare.startsWith('internal/')) return `builtin:${bare}`;
    if (name.startsWith('node:') || LACKING.has(bare.split('/')[0])) throw lacking(name);
    let found;
    if (/^(\.{1,2}(\/|$)|\/)/.test(name)) {
      const whole = path.resolve(path.dirname(from), name);
      found = (name.endsWith('/') ? undefined : asFile(whole)) || asFolder(whole);
    } else if (name.startsWith('#')) {
      const { folder, json } = packageOf(from);
      found = mapped(folder, json.imports || {}, name, conditions);
    } else {
      const parts = name.split('/');
      const count = name.startsWith('@') ? 2 : 1;
      const [id, inside] = [parts.slice(0, count).join('/'), parts.slice(count).join('/')];
      const own = packageOf(from);
      if (own.json.name === id && own.json.exports) found = inPackage(own.folder, inside, conditions);
      for (let folder = path.dirname(from); !found; folder = path.dirname(folder)) {
        const place = path.join(folder, 'node_modules', id);
        if (native.kind(place) === FOLDER) found = inPackage(place, inside, conditions);
        else if (!inside && asFile(place)) found = asFile(place);
        if (folder === path.dirname(folder)) break;
      }
    }
    if (!found) throw missing(name, from);
    return native.real(found) || found;
  }

  // ---- CommonJS
  const modules = new Map();
  const main = { id: '.', filename: settings.main, path: path.dirname(settings.main), exports: {}, loaded: true, children: [], paths: [] };
  class Module {
    constructor(id) {
      this.id = id;
      this.filename = id;
      this.path = path.dirname(id);
      this.exports = {};
      this.loaded = false;
      this.children = [];
      this.paths = [];
      this.parent = main;
    }
  }
  const isSyntaxOfModule = (source) => /^\s*(import\b(?!\s*\()|export\b)/m.test(source);
  function isModule(file, source) {
    if (file.endsWith('.mjs')) return true;
    if (file.endsWith('.cjs') || file.endsWith('.json')) return false;
    const { json } = packageOf(file);
    if (json.type === 'module') return true;
    if (json.type === 'commonjs' || !isSyntaxOfModule(source)) return false;
    try {
      wrap(source, file);
      return false;
    } catch {
      return true;
    }
  }
  const clean = (source) => source.replace(/^\uFEFF/, '').replace(/^#!/, '//');
  const wrap = (source, file) =>
    native.compile(`(function (exports, require, module, __filename, __dirname) {${clean(source)}\n})`, file);
  function requireFrom(file) {
    const require = (name) => {
      const id = resolve(name, file, REQUIRE);
      return id.startsWith('builtin:') ? builtin(id.slice(8)) : load(id);
    };
    require.main = main;
    require.cache = {};
    require.extensions = {};
    require.resolve = (name) => resolve(name, file, REQUIRE).replace(/^builtin:/, '');
    return require;
  }
  function load(file) {
    const known = modules.get(file);
    if (known) return known.exports;
    if (file.endsWith('.node')) throw lacking(path.basename(file));
    const source = native.text(file);
    if (source === undefined) throw missing(file, '');
    const module = new Module(file);
    modules.set(file, module);
    try {
      if (file.endsWith('.json')) {
        module.exports = json(file, source);
      } else if (isModule(file, source)) {
        const error = new Error(`require() of the ES module ${file} is not possible; write \`await import(…)\`, or make the processor one (.mjs)`);
        error.code = 'ERR_REQUIRE_ESM';
        throw error;
      } else {
        wrap(source, file).call(module.exports, module.exports, requireFrom(file), module, file, path.dirname(file));
      }
    } catch (error) {
      modules.delete(file);
      throw error;
    }
    module.loaded = true;
    return module.exports;
  }
  function json(file, source) {
    try {
      return parse(source.replace(/^\uFEFF/, ''));
    } catch (error) {
      error.message = `${file}: ${error.message}`;
      throw error;
    }
  }

  // ---- ES modules: what is none is made to look like one
  const LINK = Symbol.for('pyperf.module');
  define(LINK, (id) => (id.startsWith('builtin:') ? builtin(id.slice(8)) : load(id)));
  function moduleSource(id) {
    if (!id.startsWith('builtin:')) {
      const source = native.text(id);
      if (source === undefined) throw missing(id, '');
      if (isModule(id, source)) return clean(source);
    }
    const exports = global[LINK](id);
    const names = exports !== null && (typeof exports === 'object' || typeof exports === 'function') ? Object.keys(exports) : [];
    const fit = names.filter((name) => /^[A-Za-z_$][\w$]*$/.test(name) && name !== 'default');
    const lines = fit.map((name, at) => `const _${at} = m[${JSON.stringify(name)}]; export { _${at} as ${name} };`);
    return `const m = globalThis[Symbol.for('pyperf.module')](${JSON.stringify(id)});\nexport default m;\n${lines.join('\n')}`;
  }

  function open() {
    const file = settings.file;
    const source = native.text(file);
    if (source !== undefined && isModule(file, source)) return import(file);
    return load(file);
  }

  // ---- what rejects, and nobody waits for
  const waiting = new Map();
  return {
    dispatch: host.dispatch,
    abandon: host.abandon,
    forget: host.forget,
    fire,
    load: () => host.load(open),
    fetched: (number, head, body) => builtin('internal/fetch').arrived(number, head, body),
    rejection: (promise, reason, handled) => void (handled ? waiting.delete(promise) : waiting.set(promise, reason)),
    settled: () => {
      for (const reason of waiting.values()) host.rejected(reason);
      waiting.clear();
    },
    resolve: (base, name) => {
      if (name.startsWith('builtin:')) return name;
      return resolve(name, base.startsWith('/') ? base : settings.file, IMPORT);
    },
    source: moduleSource,
  };
})
