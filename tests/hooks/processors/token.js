// The shape of a real processor: a token from an identity provider, kept in the module, put into every request.
const fetch = require('node-fetch');

KEYCLOAK_URI = process.env.KEYCLOAK_URI;
const cache = { token: null, expires: 0 };
let pending = null;

async function login() {
  const params = new URLSearchParams();
  params.append('grant_type', 'password');
  params.append('username', 'user');
  params.append('password', 'p&ss word');
  const response = await fetch(`${KEYCLOAK_URI}/token`, {
    method: 'POST',
    body: params,
    headers: { Authorization: `Basic ${Buffer.from('client:secret').toString('base64')}` },
  });
  if (!response.ok) throw new Error(`login failed: ${response.status} ${await response.text()}`);
  const json = await response.json();
  cache.token = json.access_token;
  cache.expires = Date.now() + json.expires_in * 1000;
}

async function setAuthHeader(requestParams, context, ee, next) {
  if (!cache.token || cache.expires < Date.now()) {
    pending = pending || login().finally(() => { pending = null; });
    await pending;
  }
  requestParams.headers = requestParams.headers || {};
  requestParams.headers.Authorization = `Bearer ${cache.token}`;
  requestParams.headers.cookie = `oidc-jwt=${cache.token}`;
  return next();
}

async function globalFetch(context) {
  const response = await globalThis.fetch(`${KEYCLOAK_URI}/moved`);
  context.vars.status = [response.status, response.ok, response.redirected, response.url.endsWith('/json')];
  context.vars.type = response.headers.get('content-type');
  context.vars.json = await response.json();
  const missing = await globalThis.fetch(`${KEYCLOAK_URI}/missing`, { headers: new Headers({ a: 'b' }) });
  context.vars.missing = [missing.status, missing.ok, await missing.text()];
  const bytes = await (await globalThis.fetch(new Request(`${KEYCLOAK_URI}/json`))).arrayBuffer();
  context.vars.bytes = new Uint8Array(bytes)[0];
  const manual = await globalThis.fetch(`${KEYCLOAK_URI}/moved`, { redirect: 'manual' });
  context.vars.manual = [manual.status, manual.headers.get('location')];
}
const refused = async () => { await globalThis.fetch('http://127.0.0.1:1/'); };
const slow = async () => {
  const controller = new AbortController();
  setTimeout(() => controller.abort(), 20);
  await globalThis.fetch(`${KEYCLOAK_URI}/slow`, { signal: controller.signal });
};

if (require.main === module) {
  login().then(() => console.log(cache.token), () => process.exit(1));
}
module.exports = { setAuthHeader, globalFetch, refused, slow };
