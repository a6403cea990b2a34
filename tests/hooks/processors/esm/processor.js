import path, { join } from 'node:path';
import { createHash } from 'crypto';
import { named } from '../lib/module.mjs';
import common from './common.cjs';

const token = await Promise.resolve('awaited at the top');

export async function setToken(requestParams, context) {
  requestParams.headers.token = token;
}
export const look = (context, ee, next) => {
  Object.assign(context.vars, { named, common: common.kind, joined: join('a', 'b') === path.join('a', 'b') });
  context.vars.file = path.basename(new URL(import.meta.url).pathname);
  context.vars.strict = (function () { return this === undefined; })();
  context.vars.hash = createHash('md5').update('').digest('hex').slice(0, 4);
  next();
};
export default { byDefault: (context, ee, next) => next() };
