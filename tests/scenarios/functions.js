// The processor of the scripts in these folders.
'use strict';

module.exports = {
  prepare: (context, ee, next) => { context.vars.prepared = 'yes'; next(); },
  setHeader: async (requestParams) => { requestParams.headers['X-Prepared'] = '{{ prepared }}'; },
  look: (requestParams, response, context, ee, next) => { context.vars.seen = (context.vars.seen || 0) + 1; next(); },
  more: (context, next) => next(context.vars.seen < 2),
  isPrepared: (vars) => vars.prepared === 'yes',
  lose: (requestParams, context, ee, next) => { requestParams = { headers: {} }; next(); },
};
