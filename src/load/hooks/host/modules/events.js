// `events`, and what the web has of them.
(function (exports, require, module) {
  'use strict';
  class EventEmitter {
    constructor() { EventEmitter.init.call(this); }
    static init() { if (!Object.hasOwn(this, '_events')) Object.defineProperty(this, '_events', { value: new Map(), configurable: true, writable: true }); }
    _of(kind) {
      EventEmitter.init.call(this);
      return this._events.get(kind) || [];
    }
    on(kind, listener) {
      this._events && this._events.has('newListener') && this.emit('newListener', kind, listener);
      this._events || EventEmitter.init.call(this);
      this._events.set(kind, [...this._of(kind), { listener, call: listener }]);
      return this;
    }
    prependListener(kind, listener) {
      const before = this._of(kind);
      this._events.set(kind, [{ listener, call: listener }, ...before]);
      return this;
    }
    once(kind, listener) {
      const call = (...args) => {
        this.removeListener(kind, listener);
        return listener.apply(this, args);
      };
      const before = this._of(kind);
      this._events.set(kind, [...before, { listener, call }]);
      return this;
    }
    removeListener(kind, listener) {
      const all = this._of(kind);
      const at = all.findLastIndex((one) => one.listener === listener);
      if (at >= 0) this._events.set(kind, all.toSpliced(at, 1));
      return this;
    }
    removeAllListeners(kind) {
      if (kind === undefined) this._events = new Map();
      else this._of(kind), this._events.delete(kind);
      return this;
    }
    emit(kind, ...args) {
      const all = this._of(kind);
      if (!all.length) {
        if (kind === 'error') throw args[0] instanceof Error ? args[0] : new Error(`Unhandled error. (${args[0]})`);
        return false;
      }
      for (const one of all) one.call.apply(this, args);
      return true;
    }
    listeners(kind) { return this._of(kind).map((one) => one.listener); }
    rawListeners(kind) { return this._of(kind).map((one) => one.call); }
    listenerCount(kind) { return this._of(kind).length; }
    eventNames() { return [...(this._events || new Map())].filter(([, all]) => all.length).map(([kind]) => kind); }
    setMaxListeners() { return this; }
    getMaxListeners() { return 10; }
  }
  EventEmitter.prototype.addListener = EventEmitter.prototype.on;
  EventEmitter.prototype.off = EventEmitter.prototype.removeListener;
  // Old code calls it without `new`.
  const Callable = new Proxy(EventEmitter, { apply: (_, self) => void (self && EventEmitter.init.call(self)) });
  module.exports = Callable;
  Callable.EventEmitter = Callable;
  Callable.default = Callable;
  Callable.defaultMaxListeners = 10;
  Callable.once = (emitter, kind) => new Promise((done, fail) => {
    emitter.once(kind, (...args) => done(args));
    if (kind !== 'error') emitter.once('error', fail);
  });

  Callable.Event = class Event {
    constructor(type, init = {}) {
      this.type = type;
      this.defaultPrevented = false;
      this.cancelable = Boolean(init.cancelable);
    }
    preventDefault() { this.defaultPrevented = this.cancelable; }
    stopPropagation() {}
  };
  Callable.EventTarget = class EventTarget {
    #all = new Map();
    addEventListener(type, listener, options = {}) {
      this.#all.set(type, [...(this.#all.get(type) || []), { listener, once: Boolean(options && options.once) }]);
    }
    removeEventListener(type, listener) {
      this.#all.set(type, (this.#all.get(type) || []).filter((one) => one.listener !== listener));
    }
    dispatchEvent(event) {
      event.target = this;
      for (const one of [...(this.#all.get(event.type) || [])]) {
        if (one.once) this.removeEventListener(event.type, one.listener);
        if (typeof one.listener === 'function') one.listener.call(this, event);
        else one.listener.handleEvent(event);
      }
      return !event.defaultPrevented;
    }
  };

  Callable.structuredClone = (value) => {
    const seen = new Map();
    const copy = (from) => {
      if (typeof from === 'function' || typeof from === 'symbol') throw new Error(`${String(from)} could not be cloned.`);
      if (from === null || typeof from !== 'object') return from;
      if (seen.has(from)) return seen.get(from);
      const keep = (to) => (seen.set(from, to), to);
      if (from instanceof Date) return keep(new Date(from));
      if (from instanceof RegExp) return keep(new RegExp(from.source, from.flags));
      if (from instanceof ArrayBuffer) return keep(from.slice(0));
      if (ArrayBuffer.isView(from)) return keep(new from.constructor(from));
      if (from instanceof Map) {
        const to = keep(new Map());
        for (const [key, one] of from) to.set(copy(key), copy(one));
        return to;
      }
      if (from instanceof Set) {
        const to = keep(new Set());
        for (const one of from) to.add(copy(one));
        return to;
      }
      if (from instanceof Error) {
        const to = keep(new from.constructor(from.message));
        to.stack = from.stack;
        return to;
      }
      const to = keep(Array.isArray(from) ? [] : {});
      for (const key of Object.keys(from)) to[key] = copy(from[key]);
      return to;
    };
    return copy(value);
  };
})
