// Every way in which a function may be called, end, and fail.
const lodashless = { answer: 42 };
SLOPPY = 'an undeclared global'; // eslint-disable-line
const hoard = [];
let shared = 0;

module.exports = {
  direct: (context, ee, next) => next(),
  later: (context, ee, next) => setTimeout(next, 5),
  promise: async (context) => { context.vars.seen = 'by a promise'; },
  both: async (context, ee, next) => { next(); throw new Error('too late'); },
  twice: (context, ee, next) => { next(); next(new Error('too late')); },
  promiseThenNext: async (context, ee, next) => { setTimeout(() => next(new Error('too late')), 20); },
  noNext(context) { context.vars.seen = 'without'; },
  never: (context, ee, next) => {},
  nextError: (context, ee, next) => next(Object.assign(new Error('no token'), { code: 'ENOTOKEN' })),
  nextText: (context, ee, next) => next('plain text'),
  throws: (context, ee, next) => { throw new Error('boom'); },
  bare: (context, ee, next) => { throw Object.create(null); },
  bareRejects: async () => { await null; throw { get message() { throw new Error('no'); } }; },
  reference: (context, ee, next) => { undefinedThing.x = 1; },
  rejects: async () => { await null; throw new TypeError('late boom'); },
  timerThrows: (context, ee, next) => { setTimeout(() => { throw new Error('in a timer'); }, 1); },
  loops: (context, ee, next) => { for (;;) {} },
  loopsLater: async () => { await null; for (;;) {} },
  loopsInTimer: (context, ee, next) => { setTimeout(() => { for (;;) {} }, 1); },
  chains: (context, ee, next) => { const again = () => { Promise.resolve().then(again); }; again(); },
  nests: (context, ee, next) => { const again = () => Promise.resolve().then(again); again(); },
  recurses: (context, ee, next) => { const again = () => again() + 1; next(again()); },
  allocates: (context, ee, next) => { const all = []; for (;;) all.push(new Array(10000).fill(1)); },
  hoards: (context, ee, next) => { for (;;) hoard.push(new Array(10000).fill(1)); },
  backtracks: (context, ee, next) => { next(/^(a+)+$/.test('a'.repeat(40) + '!')); },
  exits: (context, ee, next) => { process.exit(3); },
  exitsLater: async () => { await null; try { process.exit(0); } catch {} },
  unheard: (context, ee, next) => { Promise.reject(new Error('nobody listens')); next(); },
  sloppy: (context, ee, next) => { context.vars.sloppy = SLOPPY; undeclared = 1; context.vars.undeclared = undeclared; next(); },
  counts: (context, ee, next) => { shared += 1; context.vars.shared = shared; next(); },
  keeps: (context, ee, next) => {
    context.mine = (context.mine || 0) + 1;
    context.vars.client = context.vars.client || { call: () => 'alive', when: new Date(0) };
    context.vars.alive = context.vars.client.call();
    context.vars.mine = context.mine;
    context.vars.scenario = context.scenario.name;
    context.vars.uid = context._uid;
    next();
  },
  changes: (context, ee, next) => {
    const { vars } = context;
    vars.list.push(4);
    vars.deep.er = { x: 'ü\u2028"' };
    delete vars.gone;
    vars.undefinedOne = undefined;
    vars.fn = () => 1;
    next();
  },
  looks: (context, ee, next) => { if (context.vars.list.length !== 3) throw new Error('list'); next(); },
  replaces: (context, ee, next) => { context.vars = { only: 1 }; next(); },
  circular: (context, ee, next) => { context.vars.self = context.vars; context.vars.ok = 1; next(); },
  emits: (context, ee, next) => {
    ee.emit('counter', 'c', 2);
    ee.emit('histogram', 'h', 1.5);
    ee.emit('summary', 's', 3);
    ee.emit('rate', 'r');
    ee.emit('customStat', { stat: 'custom', value: 7 });
    ee.emit('error', 'ECUSTOM');
    let heard = 0;
    ee.on('own', (value) => { heard = value; });
    ee.emit('own', 5);
    if (heard !== 5) throw new Error('not heard');
    next();
  },
  before: (requestParams, context, ee, next) => {
    requestParams.headers.Authorization = 'Bearer t';
    requestParams.json = { a: [1, 2] };
    delete requestParams.body;
    next();
  },
  beforeUnchanged: (requestParams, context, ee, next) => next(),
  beforeAssigns: async function setAuthHeader(requestParams, context, ee, next) {
    requestParams = {}; // so that nothing reaches the request
    requestParams.headers = { Authorization: 'lost' };
    next();
  },
  beforeBuffer: (requestParams, context, ee, next) => { requestParams.body = Buffer.from('hällo'); next(); },
  after: (requestParams, response, context, ee, next) => {
    context.vars.status = response.statusCode;
    context.vars.id = JSON.parse(response.body).id;
    context.vars.type = response.headers['content-type'];
    requestParams.url = 'changes nothing';
    next();
  },
  onError: (err, requestParams, context, ee, next) => {
    context.vars.failed = [err instanceof Error, err.code, err.message, requestParams.url];
    next();
  },
  isAdmin: (vars) => vars.role === 'admin',
  isAdminLater: async (vars) => vars.role === 'admin',
  ifThrows: (vars) => vars.missing.role,
  again: (context, next) => { context.vars.round = (context.vars.round || 0) + 1; next(context.vars.round < 3); },
  againReturns: (context) => context.vars.go === true,
  againLater: async (context) => context.vars.go === true,
  connect: (wsArgs, context, next) => { wsArgs.target += '/x'; wsArgs.options.headers = { a: context.vars.a }; next(); },
  says: (context, ee, next) => { console.log('told', { a: 1 }, [1, 'x']); console.error('%s and %d', 'text', 5); next(); },
  lodashless: (context, ee, next) => { context.vars.answer = lodashless.answer; next(); },
};
