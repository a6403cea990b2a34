// What CommonJS modules and the globals of Node are to a processor.
const assert = require('assert');
const path = require('path');
const util = require('util');
const fs = require('fs');
const crypto = require('crypto');
const { EventEmitter } = require('node:events');
const querystring = require('querystring');
const url = require('url');
const os = require('os');
const local = require('./lib/local');
const folder = require('./lib');
const data = require('./lib/data.json');

assert.strictEqual(require.main === module, false);
assert.ok(require.main.filename.length > 0);

const checks = {
  modules() {
    assert.strictEqual(local.name, 'local');
    assert.strictEqual(local.cycle(), 'index of local');
    assert.strictEqual(folder.name, 'index');
    assert.deepStrictEqual(data, { a: [1, 2] });
    assert.strictEqual(require('./lib/local'), local);
    assert.strictEqual(require('packaged').from, 'main');
    assert.strictEqual(require('exported').from, 'require');
    assert.strictEqual(require('exported/sub/x').sub, 'x');
    assert.strictEqual(require('@scope/scoped'), 'scoped');
    assert.throws(() => require('exported/hidden'));
    assert.throws(() => require('./nowhere'), { code: 'MODULE_NOT_FOUND' });
    assert.strictEqual(path.basename(__filename), 'modules.js');
    assert.strictEqual(path.dirname(__filename), __dirname);
    assert.strictEqual(exports, module.exports);
  },
  process() {
    assert.strictEqual(process.env.GREETING, 'hello');
    assert.ok(Array.isArray(process.argv) && process.argv.length >= 2);
    assert.ok(path.isAbsolute(process.cwd()));
    assert.strictEqual(typeof process.pid, 'number');
    assert.ok(process.version.startsWith('v'));
    assert.ok(process.hrtime.bigint() > 0n);
    assert.strictEqual(global, globalThis);
  },
  buffer() {
    const text = 'hällo ✓';
    for (const encoding of ['utf8', 'base64', 'base64url', 'hex', 'utf16le']) {
      assert.strictEqual(Buffer.from(Buffer.from(text).toString(encoding), encoding).toString(), text.length && encoding === 'utf16le' ? Buffer.from(Buffer.from(text).toString('utf16le'), 'utf16le').toString() : text);
    }
    assert.strictEqual(Buffer.from('user:pass').toString('base64'), 'dXNlcjpwYXNz');
    assert.strictEqual(Buffer.from('ÿ', 'latin1').length, 1);
    assert.strictEqual(Buffer.concat([Buffer.from('a'), Buffer.alloc(2, 'b')]).toString(), 'abb');
    assert.strictEqual(Buffer.from('hello').slice(1, 3).toString(), 'el');
    assert.strictEqual(Buffer.from('hello').subarray(1).toString(), 'ello');
    assert.strictEqual(Buffer.byteLength('✓'), 3);
    assert.ok(Buffer.isBuffer(Buffer.from([1, 2])) && Buffer.from('a').equals(Buffer.from([97])));
    assert.strictEqual(JSON.stringify(Buffer.from('a')), '{"type":"Buffer","data":[97]}');
    assert.strictEqual(Buffer.from([1, 0, 0, 2]).readUInt32BE(0), 0x01000002);
    assert.strictEqual(atob(btoa('hé')), 'hé');
    assert.strictEqual(new TextDecoder().decode(new TextEncoder().encode(text)), text);
  },
  crypto() {
    assert.strictEqual(crypto.createHash('sha256').update('a').update(Buffer.from('b')).digest('hex'), 'fb8e20fc2e4c3f248c60c39bd652f3c1347298bb977b8b4d5903b85055620603');
    assert.strictEqual(crypto.createHash('md5').update('ü').digest('base64'), crypto.createHash('MD5').update(Buffer.from('ü')).digest().toString('base64'));
    assert.strictEqual(crypto.createHmac('sha1', 'key').update('text').digest('hex'), '369e2959eb49450338b212748f77d8ded74847bb');
    assert.match(crypto.randomUUID(), /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    assert.match(globalThis.crypto.randomUUID(), /-4/);
    assert.strictEqual(crypto.randomBytes(8).length, 8);
    assert.notDeepStrictEqual(globalThis.crypto.getRandomValues(new Uint8Array(16)), new Uint8Array(16));
    assert.throws(() => crypto.createHash('sha3'));
  },
  url() {
    const one = new URL('../c?x=1&y=a%20b#h', 'https://user:pw@host:8443/a/b/');
    assert.strictEqual(one.href, 'https://user:pw@host:8443/a/c?x=1&y=a%20b#h');
    assert.deepStrictEqual([one.host, one.port, one.pathname, one.searchParams.get('y')], ['host:8443', '8443', '/a/c', 'a b']);
    one.searchParams.append('z', 'ü&');
    assert.strictEqual(one.search, '?x=1&y=a+b&z=%C3%BC%26');
    one.pathname = '/new path';
    assert.strictEqual(one.pathname, '/new%20path');
    assert.throws(() => new URL('nothing'), { code: 'ERR_INVALID_URL' });
    const params = new URLSearchParams({ grant_type: 'password', password: 'a b&c' });
    assert.strictEqual(params.toString(), 'grant_type=password&password=a+b%26c');
    assert.deepStrictEqual([...new URLSearchParams('a=1&a=2&b')], [['a', '1'], ['a', '2'], ['b', '']]);
    assert.strictEqual(querystring.stringify({ a: ['1', '2'], b: 'x y' }), 'a=1&a=2&b=x%20y');
    assert.deepStrictEqual({ ...querystring.parse('a=1&a=2&b=x+y') }, { a: ['1', '2'], b: 'x y' });
    assert.strictEqual(url.parse('http://h:1/p?q=1').pathname, '/p');
  },
  util() {
    assert.strictEqual(util.format('%s %d %j', 'a', 1, { b: 2 }, 'c'), 'a 1 {"b":2} c');
    assert.strictEqual(util.inspect({ a: { b: { c: { d: 1 } } } }), '{\n  a: { b: { c: [Object] } }\n}'.replace('\n  ', ' ').replace('\n', ' '));
    assert.strictEqual(util.inspect(new Map([['a', 1]])), "Map(1) { 'a' => 1 }");
    const emitter = new EventEmitter();
    let seen = 0;
    emitter.once('x', (value) => { seen += value; });
    emitter.emit('x', 2);
    emitter.emit('x', 2);
    assert.strictEqual(seen, 2);
    class Own extends EventEmitter {}
    assert.ok(new Own() instanceof EventEmitter);
    assert.deepStrictEqual(structuredClone({ d: new Date(0), m: new Map([[1, { a: 1 }]]) }), { d: new Date(0), m: new Map([[1, { a: 1 }]]) });
    assert.strictEqual(os.EOL, '\n');
    assert.strictEqual(path.join('/a', '../b', './c'), '/b/c');
    assert.strictEqual(path.relative('/a/b', '/a/c/d'), '../c/d');
    assert.strictEqual(path.extname('x.tar.gz'), '.gz');
  },
  fs() {
    assert.strictEqual(JSON.parse(fs.readFileSync(path.join(__dirname, 'lib/data.json'), 'utf8')).a.length, 2);
    assert.ok(Buffer.isBuffer(fs.readFileSync(path.join(__dirname, 'lib/data.json'))));
    assert.ok(fs.existsSync(__filename) && !fs.existsSync(path.join(__dirname, 'nothing')));
    assert.throws(() => fs.readFileSync(path.join(__dirname, 'nothing')), { code: 'ENOENT' });
  },
  artillery() {
    assert.strictEqual(artillery.testRunId, 'test-run');
    assert.strictEqual(typeof artillery.version, 'string');
    artillery.log('logged');
    assert.deepStrictEqual(artillery.util.template({ a: 'x {{ b }}', c: '{{ b }}' }, { vars: { b: 7 } }), { a: 'x 7', c: 7 });
  },
};
for (const [name, check] of Object.entries(checks)) {
  exports[name] = (context, ee, next) => {
    check();
    next();
  };
}
exports.later = async function later(context) {
  const order = [];
  await new Promise((done) => {
    setTimeout(() => { order.push('timeout'); done(); }, 5);
    queueMicrotask(() => order.push('microtask'));
    process.nextTick(() => order.push('tick'));
    const interval = setInterval(() => { order.push('interval'); clearInterval(interval); }, 1);
    clearTimeout(setTimeout(() => order.push('never'), 1));
  });
  await util.promisify(setTimeout)(1);
  context.vars.order = order.sort();
  context.vars.imported = (await import('./lib/module.mjs')).named;
};
