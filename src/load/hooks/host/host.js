// What a call of a processor's function means, for both runtimes: its arguments, who ends it, and what has changed.
//
// `platform` is what a runtime lends: reply, variables, person, note, limits. It knows no files and no channel.
(function (platform) {
  'use strict';
  const { stringify, parse } = JSON;
  const MOST_EMITTED = 10000;
  const MOST_NOTES = 100;
  const users = new Map();
  const calls = new Map();
  const noted = new Set();
  let functions = [];
  let current = 0;
  const here = () => (platform.current ? platform.current() : current);

  // Said once, and not without end.
  function once(text) {
    if (noted.has(text) || noted.size >= MOST_NOTES) return;
    noted.add(text);
    platform.note(text);
  }

  // A virtual user: its context is one object for all its calls.
  class User {
    constructor(number) {
      this.number = number;
      this.object = undefined; // context.vars, once somebody has asked for it
      this.raw = undefined; // the text that it was last told
      this.text = undefined; // the text that it was last known to be
      this.stale = true; // whether there is something newer than `raw`
      this.late = undefined; // what was emitted when no call was there to take it
      const user = this;
      let scenario;
      let person;
      const known = () => person || (person = parse(platform.person(number) || '{}'));
      this.context = {
        get vars() { return user.read(); },
        set vars(value) { user.object = value; },
        get scenario() { return scenario === undefined ? (scenario = known().scenario) : scenario; },
        set scenario(value) { scenario = value; },
        get _uid() { return known().uid; },
        funcs,
      };
    }

    read() {
      if (this.stale) this.update();
      return this.object;
    }

    // Takes in what others have done to the variables. What they left alone stays the very same object, so that whatever JSON
    // cannot tell (functions, clients, dates) lives as long as the user.
    update() {
      this.stale = false;
      const raw = platform.variables(this.number) || '{}';
      if (raw === this.raw) return;
      this.raw = raw;
      const incoming = parse(raw);
      if (this.object === undefined || this.object === null || typeof this.object !== 'object') {
        this.object = surrounded(incoming);
        this.text = raw;
        return;
      }
      const object = this.object;
      for (const key of Object.keys(object)) {
        if (!Object.hasOwn(incoming, key) && said(object[key]) !== undefined) delete object[key];
      }
      for (const key of Object.keys(incoming)) {
        const value = incoming[key];
        const old = object[key];
        if (old === value) continue;
        if (typeof value === 'object' && typeof old === 'object' && said(old) === stringify(value)) continue;
        object[key] = value;
      }
      this.text = whole(object);
    }

    // The variables as text if a hook has changed them.
    changed() {
      if (this.object === undefined) return undefined;
      const text = whole(this.object);
      if (text === this.text) return undefined;
      this.text = text;
      this.raw = text;
      return text;
    }
  }

  // Variables with the environment, which is large and the same for all: it is seen, and never handed over.
  function surrounded(object) {
    for (const name of ['$processEnvironment', '$env']) {
      if (Object.hasOwn(object, name)) continue;
      Object.defineProperty(object, name, { get: () => globalThis.process.env, configurable: true });
    }
    return object;
  }

  // A value as JSON; undefined when it has none.
  function said(value) {
    try {
      return stringify(value);
    } catch {
      return undefined;
    }
  }

  // An object as JSON, without the members that have none.
  function whole(object) {
    try {
      const text = stringify(object);
      return text === undefined || text[0] !== '{' ? '{}' : text;
    } catch {
      const parts = [];
      for (const key of Object.keys(object)) {
        const text = said(object[key]);
        if (text !== undefined) parts.push(stringify(key) + ':' + text);
      }
      return '{' + parts.join(',') + '}';
    }
  }

  const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
  const funcs = {
    $randomNumber: (min, max) => Math.floor(Math.random() * (max - min + 1)) + min,
    $randomString: (length = 10) => {
      let text = '';
      for (let at = 0; at < length; at += 1) text += LETTERS[Math.floor(Math.random() * LETTERS.length)];
      return text;
    },
  };

  // What `ee` is: events that count, and listeners of the hook's own.
  class Emitter {
    constructor(call) {
      this._call = call;
    }
    emit(kind, name, value) {
      switch (kind) {
        case 'counter': case 'histogram': return count(this._call, kind, name, value);
        case 'summary': return count(this._call, 'histogram', name, value);
        case 'customStat': return count(this._call, kind, name && name.stat, name && name.value);
        case 'rate': case 'error': return count(this._call, kind, name, 0);
      }
      const listeners = this._listeners && this._listeners.get(kind);
      if (!listeners) return false;
      for (const listener of [...listeners]) listener.apply(this, Array.prototype.slice.call(arguments, 1));
      return true;
    }
    on(kind, listener) {
      const all = this._listeners || (this._listeners = new Map());
      all.set(kind, [...(all.get(kind) || []), listener]);
      return this;
    }
    once(kind, listener) {
      const first = (...args) => {
        this.off(kind, first);
        listener.apply(this, args);
      };
      return this.on(kind, first);
    }
    off(kind, listener) {
      const all = this._listeners;
      if (all && all.has(kind)) all.set(kind, all.get(kind).filter((one) => one !== listener));
      return this;
    }
    addListener(kind, listener) { return this.on(kind, listener); }
    removeListener(kind, listener) { return this.off(kind, listener); }
    listenerCount(kind) { return ((this._listeners && this._listeners.get(kind)) || []).length; }
  }

  function count(call, kind, name, value) {
    const owner = call.done ? call.user : call;
    const list = call.done ? owner.late || (owner.late = []) : owner.emitted || (owner.emitted = []);
    const number = Number(value === undefined ? 1 : value);
    if (list.length < MOST_EMITTED) list.push([kind, String(name), Number.isFinite(number) ? number : 0]);
    else once(`a hook has emitted more than ${MOST_EMITTED} events in one call; the rest is not counted`);
    return true;
  }

  class Call {
    constructor(id, user, kind) {
      this.id = id;
      this.user = user;
      this.kind = kind;
      this.done = false;
      this.subject = undefined; // what the function may change beside the variables
      this.told = undefined; // that as it was
      this.emitted = undefined;
    }
  }

  // Ends a call; who comes second is not heard.
  function finish(call, failed, error, verdict) {
    if (call.done) return;
    call.done = true;
    calls.delete(call.id);
    const user = call.user;
    let failure;
    let variables;
    let request;
    let emitted = call.emitted;
    try {
      variables = user.object === undefined ? undefined : user.changed();
      if (call.subject !== undefined) {
        const text = request_text(call.subject);
        if (text !== call.told) request = text;
      }
    } catch (thrown) {
      failed = true;
      error = thrown;
    }
    if (user.late) {
      emitted = user.late.concat(emitted || []);
      user.late = undefined;
    }
    if (failed) failure = stringify(describe(error));
    platform.reply(call.id, failure, verdict, variables, request, emitted && stringify(emitted));
  }

  // What JSON would spoil is told as the text that it stands for.
  function request_text(subject) {
    const { body } = subject;
    if (body !== null && typeof body === 'object' && (body instanceof Uint8Array || body instanceof URLSearchParams)) {
      const text = body instanceof Uint8Array ? new TextDecoder().decode(body) : String(body);
      return stringify({ ...subject, body: text });
    }
    return stringify(subject);
  }

  // An error as the outside is told of it. What cannot be told (an object without a prototype, getters that throw) ends its call
  // all the same.
  function describe(error) {
    try {
      return described(error);
    } catch {
      const message = 'something was thrown that cannot be told';
      return { code: message, message, stack: '' };
    }
  }

  // The first of code and message is what Artillery counts.
  function described(error) {
    if (error === null || (typeof error !== 'object' && typeof error !== 'function')) {
      const text = String(error);
      return { code: text, message: text, stack: '' };
    }
    let message = String(error.message === undefined ? error : error.message);
    let stack = typeof error.stack === 'string' ? error.stack : '';
    let code = error.code || message;
    const limit = platform.limit && platform.limit(error, message);
    if (limit) [code, message] = limit;
    else if (typeof error.name === 'string' && /^(Type|Reference|Syntax|Range|Internal)Error$/.test(error.name)) {
      message = `${error.name}: ${message}`;
    }
    return { code: String(code), message, stack, needs_node: error.code === 'ERR_NEEDS_NODE' };
  }

  // Whether a function can never call the `next` that stands at that place among its arguments.
  const patient = new WeakMap();
  function waits(fn, place) {
    if (fn.length > place) return true;
    let waits = patient.get(fn);
    if (waits === undefined) {
      waits = /\barguments\b|\.\.\.|\bnext\b/.test(Function.prototype.toString.call(fn));
      patient.set(fn, waits);
    }
    return waits;
  }

  function dispatch(id, number, kind, index, payload, fresh) {
    current = id;
    let user = users.get(number);
    if (user === undefined) users.set(number, (user = new User(number)));
    else if (fresh) {
      user.stale = true;
      if (user.object !== undefined) user.update();
    }
    const call = new Call(id, user, kind);
    calls.set(id, call);
    try {
      invoke(call, functions[index][1], payload);
    } catch (error) {
      finish(call, true, error, false);
    }
  }

  function invoke(call, fn, payload) {
    const { kind } = call;
    const { context } = call.user;
    const decides = kind === 4 || kind === 5;
    const next = (given) => {
      if (kind === 5) finish(call, given instanceof Error, given, Boolean(given));
      else finish(call, Boolean(given), given, true);
    };
    let result;
    let place;
    switch (kind) {
      case 0:
        place = 2;
        result = fn(context, new Emitter(call), next);
        break;
      case 1: {
        const [request] = parse(payload);
        call.subject = request;
        call.told = payload.slice(1, -1);
        place = 3;
        result = fn(request, context, new Emitter(call), next);
        break;
      }
      case 2: {
        const [request, response] = parse(payload);
        place = 4;
        result = fn(request, response, context, new Emitter(call), next);
        break;
      }
      case 3: {
        const [told, request] = parse(payload);
        const error = Object.assign(new Error(told.message), told);
        place = 4;
        result = fn(error, request, context, new Emitter(call), next);
        break;
      }
      case 4:
        result = fn(call.user.read(), context);
        break;
      case 5:
        place = 1;
        result = fn(context, next);
        break;
      default: {
        const [args] = parse(payload);
        call.subject = args;
        call.told = payload.slice(1, -1);
        place = 2;
        result = fn(args, context, next);
      }
    }
    if (call.done) {
      // A promise whose call is over may still fail, and then somebody wants to know.
      return;
    }
    if (result !== null && typeof result === 'object' && typeof result.then === 'function') {
      result.then(
        (value) => finish(call, false, undefined, decides ? Boolean(value) : true),
        (error) => finish(call, true, error, false),
      );
    } else if (kind === 4 || (kind === 5 && typeof result === 'boolean')) {
      finish(call, false, undefined, Boolean(result));
    } else if (!waits(fn, place)) {
      once(`the hook \`${fn.name}\` takes no \`next\` and returns no promise: it is taken to be done when it returns`);
      finish(call, false, undefined, !decides);
    }
  }

  // Runs something on behalf of a call, as a timer that it has set.
  function within(id, run) {
    current = id;
    if (calls.has(id)) platform.working(id);
    try {
      run();
    } catch (error) {
      uncaught(error);
    }
  }

  // What nobody caught ends the call that is at work; when that is over, or there is none, it is said.
  function uncaught(error) {
    const call = calls.get(here());
    if (call) finish(call, true, error, false);
    else {
      const { message, stack } = describe(error);
      platform.fault(`uncaught in the processor: ${message}`, stack);
    }
  }

  function rejected(error) {
    const { message, stack } = describe(error);
    if (noted.has(message) || noted.size >= MOST_NOTES) return;
    noted.add(message);
    platform.fault(`a rejected promise that nothing waits for: ${message}`, stack);
  }

  // The functions that a module exports: its own, and those of its default export.
  function exported(exports) {
    const found = new Map();
    const add = (from) => {
      if (from === null || (typeof from !== 'object' && typeof from !== 'function')) return;
      for (const name of Object.keys(from)) {
        if (typeof from[name] === 'function' && !found.has(name)) found.set(name, from[name]);
      }
    };
    add(exports);
    if (exports && exports.default !== undefined) add(exports.default);
    functions = [...found];
    return functions.map(([name, fn]) => [name, Function.prototype.toString.call(fn)]);
  }

  async function load(open) {
    try {
      platform.loaded(undefined, stringify(exported(await open())));
    } catch (error) {
      platform.loaded(stringify(describe(error)), undefined);
    }
  }

  return {
    dispatch,
    load,
    within,
    uncaught,
    rejected,
    describe,
    once,
    current: here,
    // The call has been given up.
    abandon: (id) => {
      const call = calls.get(id);
      if (call) call.done = true;
      calls.delete(id);
    },
    forget: (number) => {
      const user = users.get(number);
      if (user && user.late) once('a hook has emitted events after its end and after the last call of its user: they are not counted');
      users.delete(number);
    },
    exit: (code) => {
      const error = Object.assign(new Error(`process.exit(${code === undefined ? '' : code}) was called`), {
        code: 'ERR_HOOK_EXIT',
      });
      const call = calls.get(here());
      if (call) finish(call, true, error, false);
      throw error;
    },
    artillery: (id, version, log) => ({
      testRunId: id,
      version,
      log,
      util: {
        template: (value, context) => template(value, context),
      },
      globalEvents: new Emitter({ done: true, user: {} }),
      ext: () => once('`artillery.ext` has no effect here'),
      suggestedExitCode: undefined,
    }),
  };

  // Placeholders of a value and all that is in it, by path.
  function template(value, context) {
    if (typeof value === 'string') {
      const find = (path) => path.split(/[.[\]'"]+/).filter(Boolean).reduce((at, key) => (at == null ? at : at[key]), context.vars);
      const only = /^\{\{\{?\s*([\w$.[\]'"-]+)\s*\}?\}\}$/.exec(value);
      if (only) return find(only[1]);
      return value.replace(/\{\{\{?\s*([\w$.[\]'"-]+)\s*\}?\}\}/g, (_, path) => {
        const found = find(path);
        return typeof found === 'object' ? stringify(found) : String(found);
      });
    }
    if (Array.isArray(value)) return value.map((one) => template(one, context));
    if (value !== null && typeof value === 'object') {
      return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, template(one, context)]));
    }
    return value;
  }
})
