// `os`, as little of it as packages ask for.
(function (exports) {
  'use strict';
  Object.assign(exports, {
    EOL: '\n',
    platform: () => process.platform,
    type: () => 'Linux',
    arch: () => process.arch,
    release: () => '',
    hostname: () => 'localhost',
    homedir: () => process.env.HOME || '/',
    tmpdir: () => process.env.TMPDIR || '/tmp',
    endianness: () => 'LE',
    cpus: () => [{ model: '', speed: 0, times: {} }],
    availableParallelism: () => 1,
    totalmem: () => 0,
    freemem: () => 0,
    loadavg: () => [0, 0, 0],
    uptime: () => process.uptime(),
    networkInterfaces: () => ({}),
    userInfo: () => ({ username: process.env.USER || '', uid: -1, gid: -1, homedir: process.env.HOME || '/', shell: null }),
    constants: { signals: {}, errno: {} },
  });
})
